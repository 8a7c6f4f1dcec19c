"""The smallest module: one operation, which is a command too, and which peers may call."""

from nzcore.module import Caller, Module, Scope, command, operation


class Hello(Module):
    """Says hello to whoever asks."""

    @command
    @operation(scope=Scope.MESSAGE)
    async def greet(self, caller: Caller, name: str = "world") -> str:
        """Say hello."""
        await self.context.publish("hello.greeted", caller.kind)
        return f"hello, {name}"
