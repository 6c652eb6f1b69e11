"""The three members of the replica set under test: started, asked, and read out at the end."""

import hashlib
import time
import uuid

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import SecondaryPreferred

SET = "rs0"
DATABASE = "magasin"
MEMBER_COUNT = 3
# Short, so that an outage is, too; long enough for a busy machine.
ELECTION_MILLISECONDS = 3000
SETTLE_SECONDS_MAX = 120


class ReplicaSet:
    def __init__(self, mongod, folder, network, start_child):
        self.mongod = mongod
        self.folder = folder
        self.network = network
        self.start_child = start_child
        self.children = [None] * MEMBER_COUNT
        self.clients = [
            MongoClient(
                address, port, directConnection=True, connect=False, appname="faults",
                serverSelectionTimeoutMS=1500, connectTimeoutMS=1500, socketTimeoutMS=4000)
            for address, port in network.addresses]

    @property
    def uri(self):
        hosts = ",".join(f"{address}:{port}" for address, port in self.network.addresses)
        return f"mongodb://{hosts}/{DATABASE}?replicaSet={SET}"

    def name(self, member):
        return f"m{member + 1}"

    def start(self):
        for member in range(MEMBER_COUNT):
            self.start_member(member)
        for member in range(MEMBER_COUNT):
            wait(f"{self.name(member)} answers", lambda: self.command(member, "ping"), 60)
        self.clients[0].admin.command("replSetInitiate", {
            "_id": SET,
            "settings": {
                "electionTimeoutMillis": ELECTION_MILLISECONDS, "heartbeatIntervalMillis": 500},
            "members": [
                {"_id": number, "host": f"{address}:{port}"}
                for number, (address, port) in enumerate(self.network.addresses)]})
        self.wait_healthy()

    def start_member(self, member):
        address, port = self.network.addresses[member]
        data = self.folder / self.name(member)
        data.mkdir(exist_ok=True)
        self.children[member] = self.start_child(
            self.name(member), *self.network.command(
                member, self.mongod, "--replSet", SET, "--bind_ip", address, "--port", port,
                "--dbpath", data, "--quiet", "--wiredTigerCacheSizeGB", "0.25",
                "--oplogSize", "512", "--networkMessageCompressors", "snappy,zstd",
                "--setParameter", "enableTestCommands=1",
                "--setParameter", "diagnosticDataCollectionEnabled=false"))

    def command(self, member, name, *arguments, **options):
        """A member's answer to an admin command; None when it does not answer."""
        try:
            return self.clients[member].admin.command(name, *arguments, **options)
        except PyMongoError:
            return None

    def primary(self):
        """The member that says it is the primary, in the highest term; None without one."""
        claims = []
        for member in range(MEMBER_COUNT):
            hello = self.command(member, "hello")
            if hello and hello.get("isWritablePrimary"):
                claims.append((hello["electionId"], member))
        return max(claims)[1] if claims else None

    def is_healthy(self):
        """One primary that has two secondaries, none of them still catching up on its start."""
        primary = self.primary()
        if primary is None:
            return False
        status = self.command(primary, "replSetGetStatus")
        states = sorted(one["stateStr"] for one in status["members"]) if status else []
        return states == ["PRIMARY"] + ["SECONDARY"] * (MEMBER_COUNT - 1)

    def wait_healthy(self):
        wait("the replica set is whole", self.is_healthy, SETTLE_SECONDS_MAX)

    def wait_same(self):
        """Waits until every member has all there is, and knows that a majority has it."""
        def check():
            primary = self.primary()
            status = self.command(primary, "replSetGetStatus") if primary is not None else None
            if not status:
                return False
            times = {one["optime"]["ts"] for one in status["members"]}
            times |= {
                optime["ts"] for member in range(MEMBER_COUNT)
                for optime in [self.majority_optime(member)]}
            return len(times) == 1
        wait("the members hold the same", check, SETTLE_SECONDS_MAX)

    def majority_optime(self, member):
        """How far a member knows the majority to be; a restarted one knows nothing for a while."""
        status = self.command(member, "replSetGetStatus")
        known = status["optimes"].get("readConcernMajorityOpTime") if status else None
        return known or {"ts": None}

    def logs(self):
        """The log of every member at both read concerns, `{"m1/majority": commits}`."""
        known = {}
        return {
            f"{self.name(member)}/{concern}": self.read_log(member, concern, known)
            for member in range(MEMBER_COUNT) for concern in ("majority", "local")}

    def read_log(self, member, concern, known):
        """`known` keeps a document that was read before, by its digest: most are the same."""
        log = self.clients[member].get_database(
            DATABASE, codec_options=bson.CodecOptions(document_class=RawBSONDocument),
            read_preference=SecondaryPreferred(), read_concern=ReadConcern(concern)).log
        commits = []
        for document in log.find(sort=[("_id", 1)], batch_size=5000):
            digest = hashlib.sha256(document.raw).hexdigest()
            if digest not in known:
                known[digest] = commit_of(bson.decode(document.raw), digest)
            commits.append(known[digest])
        return commits

    def close(self):
        for client in self.clients:
            client.close()


def commit_of(document, digest):
    """A stored commit in the shape that the checker takes."""
    return {
        "position": document["_id"],
        "command_id": text(document["command_id"]),
        "correlation_id": text(document["correlation_id"]),
        "digest": digest,
        "events": [
            {
                "event_id": text(event["event_id"]), "type": event["event_type"],
                "stream": f"{event['aggregate_type']}/{event['aggregate_id']}",
                "version": event["version"], "data": event["data"]}
            for event in document["events"]],
    }


def text(binary):
    return str(uuid.UUID(bytes=bytes(binary)))


def wait(what, check, within, every=0.1):
    """Calls `check` until it gives something true; a TimeoutError that says what did not come."""
    deadline = time.monotonic() + within
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within} s: {what}")
        time.sleep(every)
