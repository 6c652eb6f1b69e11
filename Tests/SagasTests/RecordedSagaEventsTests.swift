import EventSourcing
import EventSourcingTesting
import Foundation
import Testing

@testable import Sagas

/// The same promise for a saga's own events, see `Tests/CommerceTests/RecordedEventsTests.swift`.
@Suite("Recorded events of sagas")
struct RecordedSagaEventsTests {
  private static let stories: [(name: String, happenings: [Happening])] = [
    ("completed", [.placed, .reserved, .paid, .confirmed, .notified]),
    ("out of stock", [.placed, .unavailable, .cancelled]),
    ("declined", [.placed, .reserved, .declined, .released, .cancelled]),
    (
      "possibly charged",
      [.placed, .reserved, .possiblyCharged, .released, .cancelled, .voided]
    ),
    (
      "cancelled after all was done",
      [
        .placed, .reserved, .paid, .confirmed, .notified, .cancelRequested, .refunded, .released,
        .cancelled,
      ]
    ),
    (
      "nothing to release",
      [.placed, .reserved, .declined, .nothingToDo("ReleaseStock"), .cancelled]
    ),
    ("release refused", [.placed, .reserved, .declined, .refused("ReleaseStock"), .cancelled]),
  ]

  private static let stories2: [(name: String, happenings: [Happening])] =
    stories + [
      (
        "held for longer", [.placed, .pause(seconds: 850), .reserved, .extended, .paid]
      ),
      ("forced back", [.placed, .reserved, .act(.forceCompensation), .paid, .refunded, .barred]),
      (
        "retried by hand, and skipped",
        [.placed, .reserved, .declined, .refused("ReleaseStock"), .act(.retry), .act(.skip)]
      ),
    ]

  /// Version 1 had no timers.
  private static var samples1: [(name: String, event: SagaEvent)] {
    var withoutStore = Story([.placed], under: .v1).events[0]
    withoutStore.order?.store = nil
    return events(of: stories, under: .v1).map { name, event in
      var event = event
      event.timer = nil
      return (name, event)
    } + [("an order without a store", withoutStore)]
  }

  private static var samples: [(name: String, event: SagaEvent)] {
    // Sagas that began under version 1 go on writing.
    var withoutStore = Story([.placed]).events[0]
    withoutStore.order?.store = nil
    return samples1 + [("version 2: an order without a store", withoutStore)]
      + events(of: stories, under: .v1).map { ("version 1 today: \($0.name)", $0.event) }
      + events(of: stories2, under: .v2).map { ("version 2: \($0.name)", $0.event) }
  }

  private static func events(
    of stories: [(name: String, happenings: [Happening])],
    under definition: OrderFulfilment.Definition
  ) -> [(name: String, event: SagaEvent)] {
    stories.flatMap { story in
      Story(story.happenings, under: definition).events.enumerated().map { index, event in
        ("\(story.name), \(index + 1)", event)
      }
    }
  }

  private static func lines(_ name: String) throws -> String {
    let folder = URL(filePath: #filePath).deletingLastPathComponent()
    return try String(
      contentsOf: folder.appending(path: "RecordedEvents/\(name).jsonl"), encoding: .utf8)
  }

  @Test("are read as they were meant, and the shape of none has changed under its schema number")
  func stayReadable() throws {
    let samples = Self.samples
    let register = try SchemaRegister(lines: Self.lines("sagas.shapes"))
    let findings =
      register.findings(
        writing: SchemaRegister.forms(of: samples.map(\.event)),
        upcasters: OrderFulfilment.upcasters)
      + RecordedSample.findings(
        of: try RecordedSample.samples(lines: Self.lines("sagas")), OrderFulfilment.self,
        expected: samples, register: register)
    for finding in findings { Issue.record("sagas: \(finding)") }
  }

  @Test("every kind of event is among the samples")
  func complete() {
    #expect(Set(Self.samples.map(\.event.kind)) == Set(SagaEvent.Kind.allCases))
  }
}
