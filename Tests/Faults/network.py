"""A network namespace for each member, on a bridge, so that one can be cut off from the others.

All of it lives in the network namespace that `scripts/faults` made for the rig: when the rig's last
process is gone, whatever ended it, the kernel takes the bridge and the links away.
"""

import os
import subprocess
import time
from pathlib import Path

BRIDGE = "faults0"
PREFIX = "10.77.0."
HUB = PREFIX + "254"
# Nobody has this hardware address: what is sent to it is lost without a word.
NOWHERE = "02:00:00:00:00:fe"


class NotPermitted(Exception):
    """This machine lets us make no namespaces, or no links between them."""


def run(*command):
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise NotPermitted(f"{' '.join(map(str, command))}: {done.stdout.strip()}")


class LoopbackNetwork:
    """Everybody on 127.0.0.1: what is left where namespaces are not permitted. Cuts nobody off."""

    can_partition = False

    def __init__(self, ports):
        self.addresses = [("127.0.0.1", port) for port in ports]

    def command(self, _, *command):
        return command

    def heal(self):
        pass


class NamespaceNetwork:
    """Each member is alone in a namespace; servers and clients share the rig's own, the hub."""

    can_partition = True

    def __init__(self, ports, start_child):
        """`start_child(name, *command)` starts a process that dies with the rig."""
        self.addresses = [(f"{PREFIX}{number}", port) for number, port in enumerate(ports, 1)]
        self.holders = []
        self.severed = []
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "link", "set", BRIDGE, "up")
        run("ip", "addr", "add", HUB + "/24", "dev", BRIDGE)
        for number, (address, _) in enumerate(self.addresses, 1):
            holder = start_child(f"namespace{number}", "unshare", "--net", "sleep", "infinity")
            self.holders.append(holder)
            self._wait_unshared(holder)
            run("ip", "link", "add", f"member{number}", "type", "veth",
                "peer", "name", "eth0", "netns", holder.pid)
            run("ip", "link", "set", f"member{number}", "master", BRIDGE, "up")
            for command in (
                ("link", "set", "lo", "up"), ("addr", "add", address + "/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
            ):
                run(*self.command(number - 1, "ip", *command))

    @staticmethod
    def _wait_unshared(holder):
        ours = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 10
        while holder.is_running and time.monotonic() < deadline:
            try:
                if os.readlink(f"/proc/{holder.pid}/ns/net") != ours:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise NotPermitted(f"unshare --net: {Path(holder.log).read_text().strip()}")

    def command(self, member, *command):
        """The command, to be run where that member lives."""
        return ("nsenter", f"--net=/proc/{self.holders[member].pid}/ns/net", *command)

    def cut_off(self, member, with_hub):
        """Nothing goes between the member and the others any more, in either direction; nor, with
        `with_hub`, between it and the servers and clients. Whoever sends hears nothing back."""
        ours = self.addresses[member][0]
        for other, (address, _) in enumerate(self.addresses):
            if other != member:
                self._lose(self.command(member), address, "eth0")
                self._lose(self.command(other), ours, "eth0")
        if with_hub:
            self._lose(self.command(member), HUB, "eth0")
            self._lose((), ours, BRIDGE)

    def _lose(self, where, address, device):
        run(*where, "ip", "neigh", "replace", address, "lladdr", NOWHERE, "dev", device,
            "nud", "permanent")
        self.severed.append((where, address, device))

    def heal(self):
        while self.severed:
            where, address, device = self.severed.pop()
            run(*where, "ip", "neigh", "del", address, "dev", device)


def make(ports, start_child, announce):
    """Namespaces where they are permitted; otherwise loopback, and `announce` is told why."""
    try:
        return NamespaceNetwork(ports, start_child)
    except (NotPermitted, FileNotFoundError) as reason:
        announce(reason)
        return LoopbackNetwork(ports)
