import Commerce
import EventSourcing

/// The state of one aggregate while its stream is folded, and how it looks as JSON.
protocol StateFold: SnapshottingFold {
  var rendered: Fields { get }
}

/// Folds through a decider's `evolve`.
struct DeciderFold<D: Decider>: StateFold {
  private var fold: AggregateFold<D>
  private let render: @Sendable (D.State) -> Fields

  /// Of a decider whose states are not kept.
  init(_ decider: D.Type, render: @escaping @Sendable (D.State) -> Fields) {
    fold = AggregateFold(decider)
    self.render = render
  }

  init(_ decider: D.Type, render: @escaping @Sendable (D.State) -> Fields)
  where D: SnapshottingDecider {
    fold = AggregateFold(decider)
    self.render = render
  }

  var snapshotSchema: Int? { fold.snapshotSchema }
  var snapshot: Fields { fold.snapshot }
  mutating func restore(_ snapshot: Fields) throws { try fold.restore(snapshot) }
  mutating func apply(_ event: Recorded) throws { try fold.apply(event) }

  var rendered: Fields { render(fold.state) }
}

/// For aggregates that nobody here knows: the data of all events, later values over earlier ones.
struct MergingFold: StateFold {
  private(set) var rendered = Fields()

  /// Less than any decider's: when an aggregate gets one, what was merged is not taken for its state.
  let snapshotSchema: Int? = 0
  var snapshot: Fields { rendered }
  mutating func restore(_ snapshot: Fields) { rendered = snapshot }

  mutating func apply(_ event: Recorded) {
    for entry in event.data.entries { rendered[entry.key] = entry.value }
    rendered["last_event_type"] = .string(event.type)
  }
}
