import EventSourcing
import Foundation

/// What every ``EventLog`` promises, as checks that run against any of them.
///
///     @Test(arguments: LogConformance.checks)
///     func conforms(_ check: LogConformance.Check) async throws { try await check.run(makeLog()) }
public enum LogConformance {
  public struct Check: Sendable, CustomStringConvertible {
    public let description: String
    public let run: @Sendable (any EventLog) async throws -> Void
  }

  /// A promise that a log does not keep.
  public struct Violation: Error, CustomStringConvertible {
    public let description: String
  }

  public static let checks: [Check] = [
    Check(description: "an empty log has no events and no head", run: emptyLog),
    Check(description: "positions and versions count from one", run: countsFromOne),
    Check(description: "a recorded event comes back as it was proposed", run: roundTrip),
    Check(description: "concurrent appenders leave no hole", run: noHoles),
    Check(description: "of appends that expect one version, one wins", run: oneWinner),
    Check(description: "a conflict names the actual version and leaves no event", run: conflict),
    Check(description: "a stream that was only read is checked too", run: readStreams),
    Check(description: "the same command id has one effect and one answer", run: sameCommand),
    Check(description: "fifty equal commands at once have one effect", run: sameCommandAtOnce),
    Check(description: "a command id with another payload is refused", run: otherPayload),
    Check(
      description: "a commit of several streams is there whole or not at all", run: wholeCommits),
    Check(description: "commits of many events keep their order", run: largeCommits),
    Check(description: "a commit that can never be stored is refused", run: invalidCommits),
    Check(description: "what is built on a failed append fails with it", run: builtOnFailure),
    Check(description: "what is built on a queued append follows it", run: builtOnQueued),
    Check(description: "reading while writing never shows an event late", run: readWhileWriting),
    Check(description: "a position inside a commit gives its rest", run: insideCommit),
    Check(description: "streams are read from any version, in pages", run: streamPages),
    Check(description: "events are found by type, stream and correlation", run: queries),
    Check(description: "events are found by their positions, inside commits too", run: positions),
    Check(description: "slices follow each other, with the events asked for", run: slices),
    Check(description: "statistics count every event once", run: statistics),
    Check(description: "the doorbell wakes a waiting reader", run: doorbell),
  ]

  static func require(
    _ condition: Bool, _ message: @autoclosure () -> String, line: UInt = #line
  ) throws {
    if !condition { throw Violation(description: "\(message()) (check at line \(line))") }
  }

  static func stream(_ id: String) -> StreamName { StreamName(category: "things", id: id) }

  static func commit(
    _ streams: [String], expecting: [String: ExpectedVersion] = [:],
    command: CommandID = .random(), fingerprint: String? = nil, correlation: UUID? = nil,
    data: Fields = ["n": 1], builtOn: [AppendTicket] = []
  ) -> ProposedCommit {
    ProposedCommit(
      context: CommitContext(
        commandID: command, fingerprint: fingerprint, correlationID: correlation,
        timestamp: Timestamp(millisecondsSinceEpoch: 1_700_000_000_123), serviceName: "test",
        metadata: ["source_ip": "127.0.0.1"]),
      events: streams.map {
        ProposedEvent(stream: stream($0), type: "ThingHappened", data: data)
      },
      expectations: Dictionary(
        expecting.map { (stream($0.key), $0.value) }, uniquingKeysWith: { first, _ in first }),
      builtOn: builtOn)
  }

  static func all(_ log: any EventLog) async throws -> [Recorded] {
    var events: [Recorded] = []
    while true {
      let commits = try await log.read(after: events.last?.position ?? .start, limit: 100)
      if commits.isEmpty { return events }
      events += commits.flatMap(\.events)
    }
  }

  /// Positions 1…N and versions 1…n without a hole, commits whole.
  static func requireSound(_ events: [Recorded]) throws {
    var versions: [StreamName: Version] = [:]
    for (index, event) in events.enumerated() {
      try require(
        event.position.rawValue == Int64(index) + 1,
        "position \(event.position) follows \(index)")
      let expected = (versions[event.stream] ?? Version.none) + 1
      try require(event.version == expected, "\(event.stream) has \(event.version) out of order")
      versions[event.stream] = event.version
    }
    for (commit, members) in Dictionary(grouping: events, by: \.commandID) {
      try require(
        members.count == members[0].header.eventCount, "commit \(commit) is not whole")
    }
  }

  private static func emptyLog(_ log: any EventLog) async throws {
    try require(try await log.head() == .start, "an empty log has a head")
    try require(try await log.read(after: .start, limit: 10).isEmpty, "an empty log has events")
    try require(try await log.version(of: stream("a")) == .none, "an absent stream has a version")
    try require(try await log.stream(stream("a")).isEmpty, "an absent stream has events")
  }

  private static func countsFromOne(_ log: any EventLog) async throws {
    let first = try await log.append(commit(["a"], expecting: ["a": .noStream]))
    let second = try await log.append(commit(["a", "b"], expecting: ["a": .exactly(Version(1))]))
    try require(first.position == Position(1), "the first event is at \(first.position)")
    try require(second.commit.header.firstPosition == Position(2), "the second commit is not at 2")
    try require(second.position == Position(3), "a commit's position is that of its last event")
    try require(try await log.version(of: stream("a")) == Version(2), "stream a is not at 2")
    try require(try await log.head() == Position(3), "the head is not 3")
    try requireSound(try await all(log))
  }

  private static func roundTrip(_ log: any EventLog) async throws {
    let data: Fields = [
      "text": "café \u{0} \u{1F600} \"quoted\"", "integer": .integer(.max), "negative": -5,
      "decimal": .decimal(FixedDecimal(unscaled: -19_990, scale: 2)), "bool": true, "null": nil,
      "lowest": .decimal(FixedDecimal(unscaled: .min, scale: 18)), "least": .integer(.min),
      "array": [1, "two", [3]], "object": ["nested": ["deep": 1]], "empty": [:], "none": [],
    ]
    let proposed = commit(["a"], fingerprint: "print", data: data)
    let appended = try await log.append(proposed)
    let read = try await all(log)
    let lookedUp = try await log.commit(of: proposed.context.commandID)
    for event in [appended.commit.events[0], read[0], lookedUp?.events[0]] {
      guard let event else { throw Violation(description: "the command's commit is not found") }
      try require(event.data == data, "data came back as \(event.data)")
      try require(event.data.keys == data.keys, "the order of keys changed")
      try require(event.header.context == proposed.context, "the context changed")
      try require(event.type == "ThingHappened" && event.schema == 1, "the type changed")
      try require(event.stream == stream("a"), "the stream changed")
      try require(event.eventID == appended.commit.events[0].eventID, "the event id changed")
    }
  }

  private static func noHoles(_ log: any EventLog) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<40 {
        group.addTask {
          for _ in 0..<10 {
            try await log.append(commit(["w\(writer)", "shared\(writer % 3)"]))
          }
        }
      }
      try await group.waitForAll()
    }
    let events = try await all(log)
    try require(events.count == 800, "\(events.count) events instead of 800")
    try requireSound(events)
  }

  private static func oneWinner(_ log: any EventLog) async throws {
    for round in 0..<5 {
      let wins = try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<20 {
          group.addTask {
            do {
              try await log.append(
                commit(["a"], expecting: ["a": .exactly(Version(Int64(round)))]))
              return true
            } catch is AppendConflict {
              return false
            }
          }
        }
        return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
      }
      try require(wins == 1, "\(wins) winners in round \(round)")
    }
    try requireSound(try await all(log))
  }

  private static func conflict(_ log: any EventLog) async throws {
    try await log.append(commit(["a"]))
    let cases: [(ExpectedVersion, String)] = [
      (.noStream, "a"), (.exactly(Version(7)), "a"), (.exactly(.none), "a"), (.streamExists, "b"),
      (.exactly(Version(3)), "b"),
    ]
    for (expected, id) in cases {
      do {
        try await log.append(commit([id], expecting: [id: expected]))
        throw Violation(description: "\(expected) was accepted on \(id)")
      } catch let conflict as AppendConflict {
        try require(conflict.stream == stream(id), "the conflict names \(conflict.stream)")
        try require(
          conflict.actual == (id == "a" ? Version(1) : Version.none),
          "the conflict says \(String(describing: conflict.actual))")
      }
    }
    try require(try await log.head() == Position(1), "a refused append left an event")
  }

  private static func readStreams(_ log: any EventLog) async throws {
    try await log.append(commit(["price"]))
    try await log.append(commit(["a"], expecting: ["price": .exactly(Version(1))]))
    try await log.append(commit(["price"]))
    do {
      try await log.append(commit(["b"], expecting: ["price": .exactly(Version(1))]))
      throw Violation(description: "a stale read was accepted")
    } catch is AppendConflict {}
    try await log.append(commit(["c"], expecting: ["absent": .noStream]))
    try require(try await log.head() == Position(4), "the head is not 4")
  }

  private static func sameCommand(_ log: any EventLog) async throws {
    let command = CommandID.random()
    let first = try await log.append(
      commit(["a", "b"], expecting: ["a": .noStream], command: command, fingerprint: "x"))
    try await log.append(commit(["a"]))
    for expected in [ExpectedVersion.noStream, .any, .exactly(Version(9))] {
      let again = try await log.append(
        commit(["a", "b"], expecting: ["a": expected], command: command, fingerprint: "x"))
      try require(again.isRepeated && !first.isRepeated, "the repetition is not marked")
      try require(again.position == first.position, "the repetition has another position")
      try require(
        again.commit.events.map(\.eventID) == first.commit.events.map(\.eventID),
        "the repetition answers other events")
    }
    try require(try await log.head() == Position(3), "the repetition left an event")
  }

  private static func sameCommandAtOnce(_ log: any EventLog) async throws {
    let command = CommandID.random()
    let answers = try await withThrowingTaskGroup(of: Appended.self) { group in
      for _ in 0..<50 {
        group.addTask {
          try await log.append(commit(["a"], expecting: ["a": .noStream], command: command))
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    try require(answers.count { !$0.isRepeated } == 1, "more than one append was the first")
    try require(Set(answers.map(\.position)) == [Position(1)], "the answers differ")
    try require(try await log.head() == Position(1), "more than one event was left")
  }

  private static func otherPayload(_ log: any EventLog) async throws {
    let command = CommandID.random()
    try await log.append(commit(["a"], command: command, fingerprint: "x"))
    do {
      try await log.append(commit(["a"], command: command, fingerprint: "y"))
      throw Violation(description: "another payload was accepted")
    } catch is CommandIDReused {}
    try require(try await log.head() == Position(1), "a refused command left an event")
  }

  private static func wholeCommits(_ log: any EventLog) async throws {
    try await log.append(commit(["b"]))
    do {
      try await log.append(commit(["a", "b", "c"], expecting: ["a": .noStream, "b": .noStream]))
      throw Violation(description: "a commit with one stale stream was accepted")
    } catch is AppendConflict {}
    try require(try await log.version(of: stream("a")) == .none, "half of a commit is there")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<30 {
        group.addTask { try await log.append(commit(["a", "b", "c\(index)", "a"])) }
      }
      try await group.waitForAll()
    }
    let events = try await all(log)
    try require(events.count == 121, "\(events.count) events instead of 121")
    try requireSound(events)
  }

  private static func largeCommits(_ log: any EventLog) async throws {
    let ids = (0..<ProposedCommit.maximumEvents).map { "s\($0 % 7)" }
    let appended = try await log.append(commit(ids))
    try require(appended.position == Position(1000), "the last event is at \(appended.position)")
    let events = try await all(log)
    try require(events.map(\.stream.id) == ids, "the order changed")
    try requireSound(events)
  }

  private static func invalidCommits(_ log: any EventLog) async throws {
    let tooMany = commit(Array(repeating: "a", count: ProposedCommit.maximumEvents + 1))
    for proposed in [commit([]), tooMany, commit(["not a name"]), commit([""])] {
      do {
        try await log.append(proposed)
        throw Violation(description: "an invalid commit was accepted")
      } catch AppendFailure.invalid {}
    }
    try require(try await log.head() == .start, "an invalid commit left an event")
  }

  private static func builtOnFailure(_ log: any EventLog) async throws {
    try await log.append(commit(["a"]))
    let failed = log.enqueue(commit(["a", "b"], expecting: ["a": .noStream]))
    let dependent = log.enqueue(commit(["c"], builtOn: [failed]))
    do {
      _ = try await dependent.value()
      throw Violation(description: "an append built on a failed one was accepted")
    } catch is AppendConflict {}
    try require(try await log.head() == Position(1), "the failed appends left an event")
  }

  private static func builtOnQueued(_ log: any EventLog) async throws {
    var tickets: [AppendTicket] = []
    for version in 0..<100 {
      tickets.append(
        log.enqueue(
          commit(
            ["a"], expecting: ["a": .exactly(Version(Int64(version)))],
            builtOn: tickets.last.map { [$0] } ?? [])))
    }
    for (index, ticket) in tickets.enumerated() {
      let appended = try await ticket.value()
      try require(appended.position == Position(Int64(index) + 1), "the order changed")
    }
  }

  private static func readWhileWriting(_ log: any EventLog) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<8 {
        group.addTask {
          for _ in 0..<40 { try await log.append(commit(["w\(writer)"])) }
        }
      }
      for _ in 0..<3 {
        group.addTask {
          var seen: [Recorded] = []
          while seen.count < 320 {
            let commits = try await log.read(after: seen.last?.position ?? .start, limit: 17)
            if commits.isEmpty {
              await log.waitForEvents(
                after: seen.last?.position ?? .start, timeout: .milliseconds(100))
            }
            seen += commits.flatMap(\.events)
          }
          try requireSound(seen)
        }
      }
      try await group.waitForAll()
    }
    let appended = try await log.append(commit(["last"]))
    let after = try await log.read(after: Position(appended.position.rawValue - 1), limit: 10)
    try require(after.first?.events.first?.stream.id == "last", "an acknowledged event is not read")
  }

  private static func insideCommit(_ log: any EventLog) async throws {
    try await log.append(commit(["a", "b", "c"]))
    try await log.append(commit(["d"]))
    let rest = try await log.read(after: Position(1), limit: 10)
    try require(
      rest.flatMap(\.events).map(\.position) == [Position(2), Position(3), Position(4)],
      "the rest of the commit is not read")
    let end = try await log.read(after: Position(4), limit: 10)
    try require(end.isEmpty, "there is something after the end")
  }

  private static func streamPages(_ log: any EventLog) async throws {
    for _ in 0..<5 { try await log.append(commit(["a", "b", "a"])) }
    let all = try await log.stream(stream("a"))
    try require(all.map(\.version.rawValue) == Array(1...10), "the stream is not in order")
    let page = try await log.readStream(stream("a"), from: Version(4), limit: 3)
    try require(page.map(\.version.rawValue) == [4, 5, 6], "the page is wrong")
    let beyond = try await log.readStream(stream("a"), from: Version(11), limit: 3)
    try require(beyond.isEmpty, "there is something after the end of the stream")
  }

  private static func queries(_ log: any EventLog) async throws {
    let correlation = UUID()
    for index in 0..<6 {
      try await log.append(
        commit(["a", "b\(index)"], correlation: index.isMultiple(of: 2) ? correlation : nil))
    }
    func positions(_ query: EventQuery) async throws -> [Int64] {
      try await log.events(matching: query).map(\.position.rawValue)
    }
    let all = try await positions(EventQuery(.all, offset: 2, limit: 3))
    try require(all == [3, 4, 5], "offset and limit: \(all)")
    let after = try await positions(EventQuery(.all, after: Position(3), limit: 2))
    try require(after == [4, 5], "after: \(after)")
    let latest = try await positions(EventQuery(.all, isDescending: true, limit: 3))
    try require(latest == [12, 11, 10], "descending: \(latest)")
    let typed = try await positions(EventQuery(.type("ThingHappened"), limit: 100))
    try require(typed.count == 12, "by type: \(typed)")
    let absent = try await positions(EventQuery(.type("NothingHappened")))
    try require(absent.isEmpty, "by an absent type: \(absent)")
    let ofStream = try await positions(EventQuery(.stream(stream("a"))))
    try require(ofStream == [1, 3, 5, 7, 9, 11], "by stream: \(ofStream)")
    let correlated = try await positions(EventQuery(.correlation(correlation)))
    try require(correlated == [1, 2, 5, 6, 9, 10], "by correlation: \(correlated)")
    let categories = try await positions(EventQuery(.category("things"), limit: 4))
    try require(categories == [1, 2, 3, 4], "by category: \(categories)")
  }

  private static func positions(_ log: any EventLog) async throws {
    let none = try await log.events(at: [Position(1)])
    try require(none.isEmpty, "an empty log has an event")
    try await log.append(commit(["a", "b", "c"]))
    try await log.append(commit(["d"]))
    try await log.append(commit(["e", "f", "g", "h"]))
    let all = try await all(log)
    for wanted: [Int64] in [
      [], [1], [4], [2], [3, 2], [6, 7], [8], [1, 2, 3, 4, 5, 6, 7, 8], [7, 2, 7, 4, 2],
      [0, -1, 9, 10, 3], [9], [.max, 5],
    ] {
      let found = try await log.events(at: wanted.map { Position($0) })
      let expected = all.filter { wanted.contains($0.position.rawValue) }
      try require(
        found.map(\.position) == expected.map(\.position), "\(wanted): \(found.map(\.position))")
      try require(found.map(\.eventID) == expected.map(\.eventID), "\(wanted): other events")
    }
  }

  private static func slices(_ log: any EventLog) async throws {
    let everything = EventSelection([stream("a").category: nil])
    let nothing = try await log.scan(Position(1)..<Position(10), for: everything)
    try require(
      nothing.first == nil && nothing.next == nil && nothing.events.isEmpty,
      "of nothing: \(nothing)")
    for streams in [["a", "b", "c"], ["d"], ["e", "f", "g", "h"]] {
      try await log.append(commit(streams))
    }
    let commits = try await log.read(after: .start, limit: 10)
    for (selection, takesAny) in [
      (everything, true), (EventSelection(["things": ["ThingHappened", "Other"]]), true),
      (EventSelection(["things": ["Other"], "others": nil]), false),
    ] {
      for lower in 1...9 {
        for upper in lower...12 {
          let range = Position(Int64(lower))..<Position(Int64(upper))
          let slice = try await log.scan(range, for: selection)
          let begun = commits.filter { range.contains($0.header.firstPosition) }
          let next = begun.last.map { $0.header.lastPosition + 1 }
          try require(
            slice.first == begun.first?.header.firstPosition && slice.next == next,
            "\(range): from \(String(describing: slice.first)), to \(String(describing: slice.next))"
          )
          let expected = takesAny ? begun.flatMap(\.events) : []
          try require(
            slice.events.map(\.eventID) == expected.map(\.eventID)
              && slice.events.map(\.position) == expected.map(\.position)
              && slice.events.map(\.version) == expected.map(\.version)
              && slice.events.map(\.stream) == expected.map(\.stream)
              && slice.events.map(\.timestamp) == expected.map(\.timestamp)
              && slice.events.map(\.data) == expected.map(\.data),
            "\(range) of \(selection.lines): \(slice.events) instead of \(expected)")
        }
      }
    }
  }

  private static func statistics(_ log: any EventLog) async throws {
    for _ in 0..<3 { try await log.append(commit(["a", "b"])) }
    _ = try await log.statistics()
    try await log.append(commit(["c"]))
    let statistics = try await log.statistics()
    try require(statistics.events == 7, "\(statistics.events) events")
    try require(statistics.commits == 4, "\(statistics.commits) commits")
    try require(statistics.types.map(\.count) == [7], "the counts by type are wrong")
    try require(statistics.categories == ["things"], "the categories are wrong")
  }

  private static func doorbell(_ log: any EventLog) async throws {
    try await log.append(commit(["a"]))
    let start = ContinuousClock.now
    async let waiting = log.waitForEvents(after: Position(1), timeout: .seconds(20))
    try await Task.sleep(for: .milliseconds(50))
    try await log.append(commit(["a"]))
    try require(await waiting, "the doorbell says that there is nothing, and there is")
    try require(.now - start < .seconds(10), "the doorbell did not ring")
    for behind in [Position.start, Position(1)] {
      let mayHaveMore = await log.waitForEvents(after: behind, timeout: .milliseconds(10))
      try require(mayHaveMore, "who stands at \(behind) of 2 is told that there is no more")
    }
  }
}
