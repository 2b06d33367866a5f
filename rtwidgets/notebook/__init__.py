"""The notebook's side: what runs in this kernel, by name, and the magics. Floor 6."""
