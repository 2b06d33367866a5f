import importlib
import inspect
import pkgutil

import pytest

import rtwidgets

# Names that are meant for others. A change here is a change of the interface.
EXPORTS = {
    "rtwidgets.client": {
        "AskForToken", "Change", "ChannelReader", "ChannelSource", "Foreign", "ForeignSource", "Intake",
        "Link", "Missing", "Multiplex", "Reader", "Records", "Source", "State", "Subscription", "Taking",
        "pinned", "trusting",
    },
    "rtwidgets.client.feeds": {"BUILT_IN", "MessageKind", "Preset"},
    "rtwidgets.engines": {"Engine", "Log", "MemoryEngine", "Run", "SqliteEngine", "open_engine"},
    "rtwidgets.frames": {"Bars", "Book", "LiveFrame", "Rows", "Schema"},
    "rtwidgets.recording": {
        "Batch", "Info", "Kind", "Recording", "Writer", "hidden", "hidden_message", "write_capture",
        "write_jsonl", "write_rtlog",
    },
    "rtwidgets.server": {"Channel", "Fields", "Hub", "Peer", "Server", "Service", "Statistics"},
    "rtwidgets.services": {
        "BUILT_IN", "Accounts", "Auctions", "Chat", "Documents", "Echo", "Games", "Inventory", "Orders",
        "Prices", "RawEcho", "Scores", "UserService", "choose", "service",
    },
}  # fmt: skip


def modules():
    found = pkgutil.walk_packages(rtwidgets.__path__, "rtwidgets.")
    return ["rtwidgets", *(each.name for each in found if not each.name.endswith("__main__"))]


@pytest.mark.parametrize("package", EXPORTS)
def test_a_package_names_what_is_public(package):
    """Nothing joins or leaves an interface unnoticed."""
    assert set(importlib.import_module(package).__all__) == EXPORTS[package]


@pytest.mark.parametrize("name", modules())
def test_what_is_named_is_there_and_documented(name):
    """Each name of `__all__` can be imported, once, and says what it is."""
    module = importlib.import_module(name)
    assert module.__doc__
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    for each in names:
        value = getattr(module, each)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), each
            assert value.__doc__ != dict.__doc__


def test_the_package_offers_what_it_names():
    """Lazily, and `dir` shows it."""
    assert set(rtwidgets.__all__) <= set(dir(rtwidgets))
    for name in rtwidgets.__all__:
        assert getattr(rtwidgets, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = rtwidgets.nope
