"""The arguments of the command. They load nothing of the client, so that help comes at once."""
