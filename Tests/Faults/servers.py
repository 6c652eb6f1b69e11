"""The `magasin serve` processes under test."""

from client import BROKEN, Client
from members import wait
from server import free_port


class Servers:
    def __init__(self, count, binary, uri, start_child):
        self.count = count
        self.binary = binary
        self.uri = uri
        self.start_child = start_child
        self.ports = [free_port() for _ in range(count)]
        self.children = [None] * count

    def child(self, index):
        return self.children[index]

    def start(self, index):
        self.children[index] = self.start_child(
            f"s{index + 1}", self.binary, "serve", "--roles", "commands",
            "--port", self.ports[index], "--mongodb", self.uri)

    def wait_for(self, path, within):
        """Waits until each of them answers the path with 200."""
        wait(f"the servers answer {path}",
             lambda: all(self.answers(port, path) for port in self.ports), within)

    @staticmethod
    def answers(port, path):
        try:
            with Client(port, timeout=5) as client:
                return client.get(path).status == 200
        except BROKEN:
            return False
