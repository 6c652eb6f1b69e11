import EventSourcing

/// One row a saga, begun by the first event of its stream.
public struct SagasProjection: Projection {
  public init() {}

  public var name: String { "sagas" }
  public var consumes: EventSelection {
    EventSelection([SagaEntry.category: SagaEntry.types])
  }
  public var indexes: [ReadModelIndex] {
    let newestFirst = ReadModelIndex.Key("position_started", isDescending: true)
    return [
      ReadModelIndex(newestFirst), ReadModelIndex(.init("state"), newestFirst),
      ReadModelIndex(.init("timer_due"), isOfTexts: true),
      ReadModelIndex(.init("state"), .init("waiting_since"), isOfTexts: true),
      ReadModelIndex(.init("suspended_since"), isOfTexts: true),
    ]
  }

  public func rows(touchedBy event: Recorded) throws -> [String] {
    [event.stream.id]
  }

  public func begins(_ id: String, with event: Recorded) -> Bool { event.version == Version(1) }

  public func apply(_ event: Recorded, to row: inout SagaRow?, id: String) throws {
    let entry = try SagaEntry(event)
    if row == nil { row = SagaRow(entry, at: event) }
    try row?.apply(entry, at: event)
  }
}
