/// The behaviour of one kind of aggregate as two pure functions: no I/O, no clock, no chance
/// (times and ids come in the command).
///
/// `decide` answers the events that a command leads to, or throws the rejection; no event means
/// that the command was done already. `evolve` folds one event into the state and cannot fail.
public protocol Decider: Sendable {
  associatedtype State: Sendable
  associatedtype Command: Sendable
  associatedtype Event: EventSourcing.Event
  associatedtype Rejection: Error & Sendable

  /// The category of its streams: `orders`.
  static var category: String { get }
  static var initial: State { get }
  static func decide(_ command: Command, _ state: State) throws(Rejection) -> [Event]
  static func evolve(_ state: inout State, _ event: Event)
  /// Decodes an event of one of its streams, of whatever schema. The default lifts it by the
  /// upcasters.
  static func decode(_ recorded: Recorded) throws -> Event
  /// From every older schema of its events to the next; none by default.
  static var upcasters: [Upcaster] { get }
}

extension Decider {
  public static func stream(_ id: String) -> StreamName {
    StreamName(category: category, id: id)
  }

  /// The state after `events`.
  public static func state(after events: some Sequence<Event>, from state: State? = nil) -> State {
    var state = state ?? initial
    for event in events { evolve(&state, event) }
    return state
  }
}
