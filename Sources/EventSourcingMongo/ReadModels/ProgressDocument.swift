import EventSourcing
import Mongo

/// A projection's pointer, checkpoint and lease as one document of the collection `projections`:
/// `{_id, generation, collection, version, position, is_settled, failure?, parked?, replaced?,
/// reached?, lease: {owner, token, renewed_at, milliseconds, wanted_by?, wanted_at?}}`. The times are
/// the server's: owners' clocks do not matter.
enum ProgressDocument {
  static let collection = "projections"
  /// How long a lease is kept for who has asked for it.
  private static let requestDuration: Duration = .seconds(3)

  static func decode(_ view: BSONView) throws -> ProjectionProgress {
    ProjectionProgress(
      projection: view["_id"]?.string ?? "", generation: Int(view["generation"]?.integer ?? 1),
      version: Int(view["version"]?.integer ?? 1),
      position: Position(view["position"]?.integer ?? 0), failure: view["failure"]?.string,
      parked: try view["parked"]?.document?.fields().parkedEvent,
      replaced: view["replaced"]?.integer.map { Int($0) },
      isSettled: view["is_settled"]?.bool ?? false,
      reached: view["reached"]?.integer.map { Position($0) })
  }

  static func decodeHolder(_ view: BSONView) -> LeaseHolder? {
    guard let lease = view["lease"]?.document, let token = lease["token"]?.integer else {
      return nil
    }
    return LeaseHolder(
      owner: lease["owner"]?.string ?? "", token: token,
      isExpired: view["is_expired"]?.bool ?? true)
  }

  /// Whether somebody asks for the lease; nil when nobody ever did.
  static func decodeRequest(_ view: BSONView) -> Bool? {
    guard view["lease"]?.document?["wanted_by"]?.string != nil else { return nil }
    return view["is_wanted"]?.bool ?? false
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
        writer.appendDocument("is_wanted", isWanted)
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

  /// Matches while nobody else has taken the lease or asked for it.
  static func undisputed(_ lease: Lease) -> BSONDocument {
    BSONDocument { writer in
      writer.append("_id", lease.name)
      writer.append("lease.token", lease.token)
      writer.appendNull("lease.wanted_by")
    }
  }

  /// Matches while nobody else has taken the lease.
  static func held(_ lease: Lease) -> BSONDocument {
    BSONDocument { writer in
      writer.append("_id", lease.name)
      writer.append("lease.token", lease.token)
    }
  }

  /// Matches while the lease is as it was seen, over unless its owner is dead, and not kept for
  /// somebody else.
  static func free(
    _ projection: String, for owner: String, seen: LeaseHolder?, mustBeOver: Bool
  ) -> BSONDocument {
    BSONDocument { writer in
      writer.append("_id", projection)
      if let seen {
        writer.append("lease.token", seen.token)
      } else {
        writer.appendNull("lease.token")
      }
      writer.appendDocument("$expr") { writer in
        writer.appendArray("$and") { conditions in
          if seen != nil, mustBeOver { conditions.append(BSONDocument(isExpired)) }
          conditions.append(
            BSONDocument { writer in
              writer.appendArray("$or") { choices in
                choices.append(
                  BSONDocument { $0.appendArray("$not") { $0.append(BSONDocument(isWanted)) } })
                choices.append(
                  BSONDocument { writer in
                    writer.appendArray("$eq") { sides in
                      sides.append("$lease.wanted_by")
                      sides.append(BSONDocument { $0.append("$literal", owner) })
                    }
                  })
              }
            })
        }
      }
    }
  }

  static func request(by owner: String) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("$set") { $0.append("lease.wanted_by", owner) }
      writer.appendDocument("$currentDate") { $0.append("lease.wanted_at", true) }
    }
  }

  static var withdrawal: BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("$unset") { unset in
        unset.append("lease.wanted_by", "")
        unset.append("lease.wanted_at", "")
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
      let (failure, parked) = (progress.failure, progress.parked)
      let (replaced, reached) = (progress.replaced, progress.reached)
      if failure == nil || parked == nil || replaced == nil || reached == nil {
        writer.appendDocument("$unset") { unset in
          if failure == nil { unset.append("failure", "") }
          if parked == nil { unset.append("parked", "") }
          if replaced == nil { unset.append("replaced", "") }
          if reached == nil { unset.append("reached", "") }
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

  /// The update that gives a lease up. The token rises: whatever its owner had under way is refused.
  static var release: BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("$set") { $0.append("lease.milliseconds", Int64(0)) }
      writer.appendDocument("$inc") { $0.append("lease.token", Int64(1)) }
    }
  }

  static func acquisition(_ lease: Lease, for duration: Duration) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("$set") { set in
        set.append("lease.owner", lease.owner)
        set.append("lease.token", lease.token)
        set.append("lease.milliseconds", duration.wholeMilliseconds)
      }
      writer.appendDocument("$unset") { unset in
        unset.append("lease.wanted_by", "")
        unset.append("lease.wanted_at", "")
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

  /// An aggregation expression: somebody has asked for the lease, not long ago. A missing time is
  /// less than any.
  private static func isWanted(_ writer: inout BSONWriter) {
    writer.appendArray("$gt") { sides in
      sides.append(
        BSONDocument { side in
          side.appendArray("$add") { terms in
            terms.append("$lease.wanted_at")
            terms.append { $0.append($1, requestDuration.wholeMilliseconds) }
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
    writer.append("is_settled", progress.isSettled)
    if let failure = progress.failure { writer.append("failure", failure) }
    if let reached = progress.reached { writer.append("reached", reached) }
    if let replaced = progress.replaced { writer.append("replaced", Int64(replaced)) }
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
