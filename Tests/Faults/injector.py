"""The faults, and the order in which chance brings them: one at a time, bounded, then healed.

A fault is begun only when the replica set is whole, so that no two of them take the majority away.
"""

import random
import signal
import time

from members import wait

PAUSE_SECONDS = (3, 12)
HOLD_SECONDS = (3, 9)
DOWN_SECONDS = (0.5, 5)
FAIL_POINT_SECONDS = (1.5, 4)
STEP_DOWN_SECONDS = 10


class Injector:
    def __init__(self, members, servers, network, recorder, seed, announce):
        self.members = members
        self.servers = servers
        self.network = network
        self.recorder = recorder
        self.random = random.Random(f"{seed}/faults")
        self.announce = announce
        self.bag = []
        self.catalogue = [
            self.primary_kill, self.primary_pause, self.primary_stepdown, self.server_kill,
            self.server_pause, self.secondary_kill, self.both_servers_kill,
            self.insert_cut_off, self.insert_refused, self.insert_unconfirmed]
        if network.can_partition:
            self.catalogue += [self.primary_cut_from_members, self.primary_cut_from_all]

    def next_fault(self):
        """All of them in a random order, then all of them again."""
        if not self.bag:
            self.bag = self.random.sample(self.catalogue, len(self.catalogue))
        return self.bag.pop()

    def inject(self, fault=None):
        """One fault from beginning to end."""
        self.members.wait_healthy()
        fault = fault or self.next_fault()
        name = fault.__name__.replace("_", "-")
        primary = self.members.primary()
        if primary is None:
            return
        started = time.monotonic()
        detail = fault(primary)
        took = time.monotonic() - started
        self.recorder.write("fault", "rig", name=name, detail=detail, seconds=round(took, 1))
        self.announce(f"{name}: {detail}, {took:.1f} s")

    def hold(self, bounds):
        time.sleep(self.random.uniform(*bounds))

    def name(self, member):
        return self.members.name(member)

    # mongod

    def kill_member(self, member):
        self.members.children[member].kill()
        self.hold(DOWN_SECONDS)
        self.members.start_member(member)
        return self.name(member)

    def primary_kill(self, primary):
        return self.kill_member(primary)

    def secondary_kill(self, primary):
        others = [member for member in range(len(self.members.children)) if member != primary]
        return self.kill_member(self.random.choice(others))

    def primary_pause(self, primary):
        self.paused(self.members.children[primary], PAUSE_SECONDS)
        return self.name(primary)

    def primary_stepdown(self, primary):
        self.members.command(
            primary, "replSetStepDown", STEP_DOWN_SECONDS, secondaryCatchUpPeriodSecs=2, force=True)
        wait("another primary", lambda: self.members.primary() is not None, 30)
        return self.name(primary)

    def primary_cut_from_members(self, primary):
        return self.partition(primary, with_hub=False)

    def primary_cut_from_all(self, primary):
        return self.partition(primary, with_hub=True)

    def primary_cut_until_replaced(self, primary):
        """Not in the catalogue: for the run that has to lose what the old primary took alone."""
        return self.partition(primary, with_hub=False, until_replaced=True)

    def partition(self, primary, with_hub, until_replaced=False):
        try:
            self.network.cut_off(primary, with_hub)
            self.hold(HOLD_SECONDS)
            if until_replaced:
                wait("another primary", lambda: self.members.primary() not in (None, primary), 60)
        finally:
            self.network.heal()
        return self.name(primary)

    # mongod's own fail points, on the command that appends

    def insert_cut_off(self, primary):
        return self.fail_point(primary, closeConnection=True)

    def insert_refused(self, primary):
        return self.fail_point(primary, errorCode=self.random.choice((91, 10107, 11602)))

    def insert_unconfirmed(self, primary):
        """The insert is done, its durability is not confirmed."""
        return self.fail_point(primary, writeConcernError={
            "code": 64, "errmsg": "waiting for replication timed out",
            "errInfo": {"wtimeout": True}})

    def fail_point(self, primary, **what):
        chance = self.random.choice((0.3, 0.7, 1.0))
        self.members.command(
            primary, "configureFailPoint", "failCommand", mode={"activationProbability": chance},
            data={"failCommands": ["insert"], **what})
        self.hold(FAIL_POINT_SECONDS)
        self.members.command(primary, "configureFailPoint", "failCommand", mode="off")
        told = what.get("errorCode", next(iter(what)))
        return f"{self.name(primary)} {told} on {chance:.0%} of the inserts"

    # magasin

    def server_kill(self, _):
        return self.kill_servers([self.random.randrange(self.servers.count)])

    def both_servers_kill(self, _):
        return self.kill_servers(range(self.servers.count))

    def kill_servers(self, indexes):
        for index in indexes:
            self.servers.child(index).kill()
        self.hold(DOWN_SECONDS)
        for index in indexes:
            self.servers.start(index)
        return ", ".join(f"s{index + 1}" for index in indexes)

    def server_pause(self, _):
        index = self.random.randrange(self.servers.count)
        self.paused(self.servers.child(index), HOLD_SECONDS)
        return f"s{index + 1}"

    def paused(self, child, bounds):
        child.send(signal.SIGSTOP)
        try:
            self.hold(bounds)
        finally:
            child.send(signal.SIGCONT)
