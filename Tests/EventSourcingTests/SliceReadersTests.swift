import EventSourcingTesting
import Testing

@testable import EventSourcing

@Suite("Readers of slices")
struct SliceReadersTests {
  /// A log of one-event commits with a large one from `position` on.
  private func log(large position: Int, of count: Int, then rest: Int) async throws -> InMemoryLog {
    let log = InMemoryLog()
    for size in Array(repeating: 1, count: position - 1) + [count]
      + Array(repeating: 1, count: rest)
    {
      let events = (0..<size).map { _ in
        ProposedEvent(
          stream: StreamName(category: "things", id: "a"), type: "ThingMoved", data: [:])
      }
      try await log.append(
        ProposedCommit(
          context: CommitContext(commandID: .random(), timestamp: .now, serviceName: "tests"),
          events: events))
    }
    return log
  }

  private func positions(
    _ log: InMemoryLog, after: Int64, through: Int64, slice: Int
  ) async throws -> [Int64] {
    var readers = SliceReaders(
      log, for: EventSelection(["things": nil]), after: Position(after),
      through: Position(through), readersMax: 3, slicePositions: slice)
    var positions: [Int64] = []
    while let slice = try await readers.nextSlice() {
      positions += slice.events.map(\.position.rawValue)
      #expect(slice.through.rawValue >= positions.last ?? 0)
    }
    return positions
  }

  @Test("every event comes once and in order, wherever a large commit lies")
  func boundaries() async throws {
    for place in 1...12 {
      let log = try await log(large: place, of: 7, then: 9)
      let head = try await log.head().rawValue
      for after in 0..<head {
        for through in [head, (after + head + 1) / 2] where through > after {
          let found = try await positions(log, after: after, through: through, slice: 4)
          #expect(found == Array(after + 1...through), "commit at \(place), \(after) to \(through)")
        }
      }
    }
  }
}
