import EventSourcing
import Mongo

/// A projection's pointer, checkpoint and lease as one document of the collection `projections`:
/// `{_id, generation, collection, version, position, failure?, parked?, lease: {owner, token,
/// renewed_at, milliseconds}}`. The times are the server's: owners' clocks do not matter.
enum ProgressDocument {
  static let collection = "projections"

  static func decode(_ view: BSONView) throws -> ProjectionProgress {
    ProjectionProgress(
      projection: view["_id"]?.string ?? "", generation: Int(view["generation"]?.integer ?? 1),
      version: Int(view["version"]?.integer ?? 1),
      position: Position(view["position"]?.integer ?? 0), failure: view["failure"]?.string,
      parked: try view["parked"]?.document?.fields().parkedEvent)
  }

  static func decodeHolder(_ view: BSONView) -> LeaseHolder? {
    guard let lease = view["lease"]?.document, let token = lease["token"]?.integer else {
      return nil
    }
    return LeaseHolder(
      owner: lease["owner"]?.string ?? "", token: token,
      isExpired: view["is_expired"]?.bool ?? true)
  }

  static func named(_ projection: String) -> BSONDocument {
    BSONDocument { $0.append("_id", projection) }
  }

  /// Options of a `find` that answers who holds the lease.
  static var holderOptions: BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("projection") { writer in
        writer.append("lease", int32: 1)
        writer.appendDocument("is_expired", isExpired)
      }
    }
  }

  /// A projection that nobody has driven yet; its lease is free.
  static func first(_ projection: String, version: Int) -> BSONDocument {
    BSONDocument { writer in
      writer.append("_id", projection)
      append(
        ProjectionProgress(
          projection: projection, generation: 1, version: version, position: .start), to: &writer)
    }
  }

  /// Matches while nobody else has taken the lease.
  static func held(_ lease: Lease) -> BSONDocument {
    BSONDocument { writer in
      writer.append("_id", lease.name)
      writer.append("lease.token", lease.token)
    }
  }

  /// Matches while the lease is as it was seen and, unless it is taken in any case, over.
  static func free(_ projection: String, seen: LeaseHolder?, mustBeOver: Bool) -> BSONDocument {
    BSONDocument { writer in
      writer.append("_id", projection)
      if let seen {
        writer.append("lease.token", seen.token)
        if mustBeOver { writer.appendDocument("$expr", isExpired) }
      } else {
        writer.appendNull("lease.token")
      }
    }
  }

  /// The update of a commit: the progress is replaced, the lease runs anew.
  static func replacement(_ progress: ProjectionProgress, for duration: Duration) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("$set") { set in
        append(progress, to: &set)
        set.append("lease.milliseconds", duration.wholeMilliseconds)
      }
      if progress.failure == nil || progress.parked == nil {
        writer.appendDocument("$unset") { unset in
          if progress.failure == nil { unset.append("failure", "") }
          if progress.parked == nil { unset.append("parked", "") }
        }
      }
      renewedNow(&writer)
    }
  }

  static func renewal(for duration: Duration) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("$set") {
        $0.append("lease.milliseconds", duration.wholeMilliseconds)
      }
      renewedNow(&writer)
    }
  }

  /// The command that takes a lease and answers the progress; it waits for no other's lock.
  static func taking(
    _ lease: Lease, where filter: BSONDocument, for duration: Duration
  ) -> BSONDocument {
    BSONDocument { writer in
      writer.append("findAndModify", collection)
      writer.append("query", filter)
      writer.append("update", acquisition(lease, for: duration))
      writer.append("new", true)
      writer.append("maxTimeMS", Int64(500))
    }
  }

  private static func acquisition(_ lease: Lease, for duration: Duration) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("$set") { set in
        set.append("lease.owner", lease.owner)
        set.append("lease.token", lease.token)
        set.append("lease.milliseconds", duration.wholeMilliseconds)
      }
      renewedNow(&writer)
    }
  }

  private static func renewedNow(_ writer: inout BSONWriter) {
    writer.appendDocument("$currentDate") { $0.append("lease.renewed_at", true) }
  }

  /// An aggregation expression: the lease's time is over.
  private static func isExpired(_ writer: inout BSONWriter) {
    writer.appendArray("$lte") { sides in
      sides.append(
        BSONDocument { side in
          side.appendArray("$add") { terms in
            terms.append("$lease.renewed_at")
            terms.append("$lease.milliseconds")
          }
        })
      sides.append("$$NOW")
    }
  }

  private static func append(_ progress: ProjectionProgress, to writer: inout BSONWriter) {
    writer.append("generation", Int64(progress.generation))
    writer.append("collection", progress.collection)
    writer.append("version", Int64(progress.version))
    writer.append("position", progress.position)
    if let failure = progress.failure { writer.append("failure", failure) }
    if let parked = progress.parked {
      writer.appendDocument("parked") { $0.append(parked.fields) }
    }
  }
}

extension Duration {
  fileprivate var wholeMilliseconds: Int64 { Int64(self / .milliseconds(1)) }
}

extension ParkedEvent {
  fileprivate var fields: Fields {
    [
      "position": .integer(position.rawValue), "event_id": .string(eventID),
      "event_type": .string(type), "aggregate_type": .string(stream.category),
      "aggregate_id": .string(stream.id), "reason": .string(reason),
      "since": .string(since.iso8601),
    ]
  }
}

extension Fields {
  fileprivate var parkedEvent: ParkedEvent {
    get throws {
      ParkedEvent(
        position: Position(try integer("position")), eventID: try string("event_id"),
        type: try string("event_type"),
        stream: StreamName(
          category: try string("aggregate_type"), id: try string("aggregate_id")),
        reason: try string("reason"), since: try timestamp("since"))
    }
  }
}
