"""What the tests share: the running shops, started when first asked for."""

from server import DevStack, PartsStack

# How long the shop with the short deadline waits for a payment, in seconds.
PAYMENT_DEADLINE = 6


class World:
    def __init__(self, binary, mongod, keep, quick):
        self.binary = binary
        self.mongod = mongod
        self.keep = keep
        self.quick = quick
        self.stacks = []
        self._shop = self._parts = None

    def count(self, full, quick):
        return quick if self.quick else full

    def open(self, kind, *options):
        stack = kind(self.binary, self.mongod, self.keep, *options)
        self.stacks.append(stack)
        return stack.start()

    @property
    def shop(self):
        """`magasin dev` with the demo data, used by every test that kills nothing."""
        if self._shop is None:
            self._shop = self.open(DevStack)
        self._shop.revive()
        return self._shop

    @property
    def parts(self):
        """The same in separate processes, for the tests that kill and stop them."""
        if self._parts is None:
            self._parts = self.open(PartsStack, "--payment-deadline", PAYMENT_DEADLINE)
        self._parts.revive()
        return self._parts

    def tails(self):
        return "\n".join(stack.tails() for stack in self.stacks)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stack in reversed(self.stacks):
            stack.close()
