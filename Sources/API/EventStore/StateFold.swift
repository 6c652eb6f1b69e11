import Commerce
import EventSourcing

/// The state of one aggregate while its stream is folded, and how it looks as JSON.
protocol StateFold {
  mutating func apply(_ event: Recorded) throws
  var rendered: Fields { get }
}

/// Folds through a decider's `evolve`.
struct DeciderFold<D: Decider>: StateFold {
  private var state = D.initial
  private let render: (D.State) -> Fields

  init(_ decider: D.Type, render: @escaping (D.State) -> Fields) { self.render = render }

  mutating func apply(_ event: Recorded) throws { D.evolve(&state, try D.decode(event)) }

  var rendered: Fields { render(state) }
}

/// For aggregates that nobody here knows: the data of all events, later values over earlier ones.
struct MergingFold: StateFold {
  private(set) var rendered = Fields()

  mutating func apply(_ event: Recorded) {
    for entry in event.data.entries { rendered[entry.key] = entry.value }
    rendered["last_event_type"] = .string(event.type)
  }
}
