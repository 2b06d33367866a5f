"""Documents as Yjs keeps them: replicas, edits, and the messages of y-protocols. Floor 2."""
