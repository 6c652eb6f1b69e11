"""What the tests share: the running shops, started when first asked for."""

from server import DevStack, PartsStack

# How long the shop with the short deadline waits for a payment, in seconds.
PAYMENT_DEADLINE = 6


class NotRunning(Exception):
    """What a test needs did not start; an earlier test has said why."""


class World:
    def __init__(self, binary, mongod, keep, quick):
        self.binary = binary
        self.mongod = mongod
        self.keep = keep
        self.quick = quick
        self.stacks = []
        self.running = {}

    def count(self, full, quick):
        return quick if self.quick else full

    def open(self, kind, *options):
        stack = kind(self.binary, self.mongod, self.keep, *options)
        self.stacks.append(stack)
        return stack.start()

    def shared(self, name, kind, *options):
        """The one stack of that name, started once and brought back to life when a test has left
        parts of it dead. One that never came up is not waited for a second time."""
        if name not in self.running:
            self.running[name] = None
            self.running[name] = self.open(kind, *options)
        if self.running[name] is None:
            raise NotRunning(f"the {name} did not start")
        self.running[name].revive()
        # The server may have closed a connection that was idle while other tests ran.
        self.running[name].client.close()
        return self.running[name]

    @property
    def shop(self):
        """`magasin dev` with the demo data, used by every test that kills nothing."""
        return self.shared("shop", DevStack)

    @property
    def parts(self):
        """The same in separate processes, for the tests that kill and stop them."""
        return self.shared("parts", PartsStack, "--payment-deadline", PAYMENT_DEADLINE)

    def tails(self):
        return "\n".join(text for text in (stack.tails() for stack in self.stacks) if text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stack in reversed(self.stacks):
            stack.close()
