import EventSourcing
import Mongo

/// Decodes of stored commits only those with an event that somebody wants; of the others it reads
/// where they stand and how many events they hold.
struct SelectiveDecoder: Sendable {
  private struct Wanted: Sendable {
    var category: [UInt8]
    /// Nil stands for all.
    var types: [[UInt8]]?
  }

  private let selection: EventSelection
  private let wanted: [Wanted]

  init(_ selection: EventSelection) {
    self.selection = selection
    wanted = selection.types.map { category, types in
      Wanted(category: Array(category.utf8), types: types?.map { Array($0.utf8) })
    }
  }

  /// The commit's first position, the number of its events, and those that are wanted.
  /// - Throws: ``LogCorruption`` when it is not of the shape that Magasin writes.
  func decode(_ view: BSONView) throws -> (first: Position, eventCount: Int, events: [Recorded]) {
    var position: Int64 = 0
    do {
      var scanner = try BSONScanner(view.bytes)
      while let element = try scanner.next() {
        if element.isNamed("_id") {
          position = element.integer ?? 0
        } else if element.isNamed("events") {
          let (count, isWanted) = try look(at: element.value)
          guard position > 0, count > 0 else { break }
          let events =
            isWanted ? try CommitDocument.decode(view).events.filter(selection.takes) : []
          return (Position(position), count, events)
        }
      }
    } catch let error as LogCorruption {
      throw error
    } catch {
      throw LogCorruption(position: Position(position), reason: "\(error)")
    }
    throw LogCorruption(position: Position(position), reason: "a commit lacks a field")
  }

  private func look(at events: UnsafeRawBufferPointer) throws -> (count: Int, isWanted: Bool) {
    var count = 0
    var isWanted = false
    var scanner = try BSONScanner(events)
    while let event = try scanner.next() {
      count += 1
      if !isWanted { isWanted = try wants(event.value) }
    }
    return (count, isWanted)
  }

  private func wants(_ event: UnsafeRawBufferPointer) throws -> Bool {
    var scanner = try BSONScanner(event)
    var type: UnsafeRawBufferPointer?
    while let element = try scanner.next() {
      if element.isNamed("event_type") {
        type = element.text
      } else if element.isNamed("aggregate_type") {
        guard let type, let category = element.text else { return true }
        return wanted.contains { wanted in
          category.elementsEqual(wanted.category)
            && wanted.types?.contains { type.elementsEqual($0) } ?? true
        }
      }
    }
    // Not of the usual shape: the decoder says what is wrong with it.
    return true
  }
}

/// Puts commits together that follow each other.
struct SliceBuilder {
  private(set) var slice = LogSlice(first: nil, next: nil, events: [])

  /// - Throws: ``LogCorruption`` when it does not begin where the one before ended.
  mutating func add(_ position: Position, eventCount: Int, _ events: [Recorded]) throws {
    if let next = slice.next, position != next {
      throw LogCorruption(position: next, reason: "the next commit is at \(position)")
    }
    slice.first = slice.first ?? position
    slice.next = position + eventCount
    slice.events += events
  }
}
