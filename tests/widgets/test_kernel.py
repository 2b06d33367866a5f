"""When the browser speaks to the kernel: `kernel.js` in Node, with a clock that the test moves on."""

STAND_INS = """
import { mock } from "node:test";
import { Words } from "./chart.mjs";

mock.timers.enable({ apis: ["setTimeout"] });
const wait = (milliseconds) => mock.timers.tick(milliseconds);

const ears = new Set();
const iopubMessage = { connect: (ear) => ears.add(ear), disconnect: (ear) => ears.delete(ear) };
const kernel = { status: "idle", iopubMessage };
const status = (execution_state, msg_type = "execute_request") => {
  kernel.status = execution_state;
  const header = { msg_type: "status" };
  const message = { header, parent_header: { msg_type }, content: { execution_state } };
  for (const ear of [...ears]) ear(null, message);
};

const said = [];
const speaker = (kernel) => new Words({ widget_manager: { kernel }, send: (content) => said.push(content) });
const heard = [];
const listen = () => heard.push(said.splice(0));
"""
DONE = "console.log(JSON.stringify(heard));"


def test_nothing_is_said_while_a_cell_runs(node) -> None:
    """Not even when a request on the control channel turns the kernel's status to idle."""
    steps = """
    const words = speaker(kernel);
    wait(1000);
    words.say("free");
    listen();
    status("busy");
    status("busy", "create_subshell_request");
    status("idle", "create_subshell_request");
    words.say("late");
    wait(10000);
    listen();
    status("idle");
    wait(1000);
    listen();
    """
    assert node(STAND_INS + steps + DONE) == [["free"], [], ["late"]]


def test_nothing_is_said_between_cells_that_follow_each_other(node) -> None:
    """The end of a cell is no pause when the next one begins within moments."""
    steps = """
    const words = speaker(kernel);
    for (let cell = 0; cell < 50; cell++) {
      status("busy");
      words.say(cell);
      wait(20);
      status("idle");
      wait(20);
    }
    listen();
    wait(1000);
    listen();
    """
    assert node(STAND_INS + steps + DONE) == [[], list(range(50))]


def test_only_the_last_of_a_kind_is_said(node) -> None:
    """What was made stale by later words is left out; the order is that of what was said last."""
    steps = """
    const words = speaker(kernel);
    status("busy");
    for (const frame of [1, 2, 3]) words.say(frame, "painted");
    words.say("hello");
    words.say(4, "painted");
    status("idle");
    wait(1000);
    listen();
    """
    assert node(STAND_INS + steps + DONE) == [["hello", 4]]


def test_the_first_words_wait_for_a_kernel_that_is_busy(node) -> None:
    """A page that is loaded while the kernel works speaks when it is idle, whatever it did."""
    steps = """
    kernel.status = "busy";
    const words = speaker(kernel);
    words.say("hello");
    wait(10000);
    listen();
    kernel.status = "idle";
    wait(1000);
    listen();
    """
    assert node(STAND_INS + steps + DONE) == [[], ["hello"]]


def test_words_are_said_at_once_where_nobody_tells_of_cells(node) -> None:
    """A front end that hides its kernel from widgets gets no delay."""
    steps = """
    speaker(undefined).say("hello");
    listen();
    """
    assert node(STAND_INS + steps + DONE) == [["hello"]]


def test_closed_words_listen_no_more(node) -> None:
    """What is left of them is nothing: no listener, no timer."""
    steps = """
    const words = speaker(kernel);
    words.say("never");
    words.close();
    wait(1000);
    status("idle");
    wait(1000);
    listen();
    heard.push(ears.size);
    """
    assert node(STAND_INS + steps + DONE) == [[], 0]
