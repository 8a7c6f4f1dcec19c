"""One module a command or group of commands, each with an object `command`; imported when it is called for."""
