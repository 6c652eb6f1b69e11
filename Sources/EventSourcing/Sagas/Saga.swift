/// Any process manager as a stream of its own, with what is the same for all of them: a saga that
/// meets an input that it cannot take is suspended there, its later inputs wait in order, and a
/// person has it go on. Other sagas notice nothing.
public enum Saga<P: ProcessManager>: Decider {
  public typealias Command = SagaInput
  public typealias Event = SagaRecord<P>
  public typealias Rejection = SagaRefusal

  public struct State: Sendable {
    public var own: P.State
    /// Why it does not move, and since which input.
    public var suspension: SagaSuspension?
    /// Inputs that came meanwhile, in order; the one that it is suspended at is the first.
    public var parked: [Position] = []
    /// Why its stream cannot be read on: an event of a later program.
    public var unreadable: String?
  }

  public static var category: String { P.category }
  public static var initial: State { State(own: P.initial) }
  public static var upcasters: [Upcaster] { P.upcasters }

  /// Decodes whatever the stream holds; what this program does not know suspends the saga.
  public static func decode(_ recorded: Recorded) throws -> SagaRecord<P> {
    do {
      if let mark = try SagaMark(recorded) { return .mark(mark) }
      return .own(try P.decode(recorded))
    } catch {
      return .unreadable(type: recorded.type, reason: "\(error)")
    }
  }

  public static func decide(
    _ input: SagaInput, _ state: State
  ) throws(SagaRefusal) -> [SagaRecord<P>] {
    if state.suspension != nil { return try whileSuspended(input, state) }
    if let unreadable = state.unreadable { return try suspended(at: input, state, unreadable) }
    if let event = input.event {
      guard event.position > P.lastInput(of: state.own) else { return [] }
      // Others wait in line already.
      if let first = state.parked.first, first != event.position {
        return state.parked.contains(event.position) ? [] : [mark(.parked(event), input, state)]
      }
    }
    do {
      let events = try P.decide(input, state.own)
      if events.isEmpty, let event = input.event, state.parked.first == event.position {
        return [mark(.passed(event), input, state)]
      }
      return events.map { .own($0) }
    } catch .poison(let reason) {
      return try suspended(at: input, state, reason)
    }
  }

  private static func mark(
    _ mark: SagaMark, _ input: SagaInput, _ state: State
  ) -> SagaRecord<P> {
    var mark = mark
    mark.identity = P.identity(of: input.saga, state.own)
    // The last event says which timer is live; a suspended saga has none.
    if mark.kind != .suspended, state.suspension == nil { mark.timer = P.timer(of: state.own) }
    return .mark(mark)
  }

  private static func suspended(
    at input: SagaInput, _ state: State, _ reason: String
  ) throws(SagaRefusal) -> [SagaRecord<P>] {
    guard let event = input.event else { throw .notNow(reason) }
    return [mark(.suspended(event, reason: reason), input, state)]
  }

  private static func whileSuspended(
    _ input: SagaInput, _ state: State
  ) throws(SagaRefusal) -> [SagaRecord<P>] {
    switch input.cause {
    case .event(let event), .parked(let event, _):
      guard event.position > P.lastInput(of: state.own), !state.parked.contains(event.position)
      else { return [] }
      return [mark(.parked(event), input, state)]
    case .timer, .refused: return []
    case .act(let act):
      switch act.action {
      case .resume, .skip:
        if let reason = state.unreadable { throw .notNow("\(reason): this program is too old") }
        return [
          mark(
            SagaMark(
              act.action == .resume ? .resumed : .skipped, input: state.parked.first, act: act,
              commands: P.pendingCommands(of: state.own), timer: P.timer(of: state.own)),
            input, state)
        ]
      case .retry, .forceCompensation:
        throw .notNow("it is suspended: resume it first, or skip the input")
      }
    }
  }

  public static func evolve(_ state: inout State, _ event: SagaRecord<P>) {
    switch event {
    case .own(let event):
      P.evolve(&state.own, event)
      if !state.parked.isEmpty {
        let last = P.lastInput(of: state.own)
        state.parked.removeAll { $0 <= last }
      }
    case .unreadable(let type, let reason):
      state.unreadable = state.unreadable ?? "\(type): \(reason)"
    case .mark(let mark):
      switch mark.kind {
      case .suspended:
        state.suspension = SagaSuspension(input: mark.input, reason: mark.reason)
        if let position = mark.input, !state.parked.contains(position) {
          state.parked.insert(position, at: 0)
        }
      case .parked:
        if let position = mark.input { state.parked.append(position) }
      case .passed:
        state.parked.removeAll { $0 == mark.input }
      case .skipped:
        state.suspension = nil
        state.parked.removeAll { $0 == mark.input }
      case .resumed:
        state.suspension = nil
      }
    }
  }
}

/// Why a saga does not move.
public struct SagaSuspension: Sendable, Hashable {
  /// The input that it could not take.
  public var input: Position?
  public var reason: String
}

/// An event of a saga's stream.
public enum SagaRecord<P: ProcessManager>: Event {
  case own(P.Event)
  case mark(SagaMark)
  /// Of a later program, or of nobody.
  case unreadable(type: String, reason: String)

  public var type: String {
    switch self {
    case .own(let event): event.type
    case .mark(let mark): mark.kind.rawValue
    case .unreadable(let type, _): type
    }
  }

  public var schema: Int {
    switch self {
    case .own(let event): event.schema
    case .mark, .unreadable: 1
    }
  }

  public var data: Fields {
    switch self {
    case .own(let event): event.data
    case .mark(let mark): mark.data
    case .unreadable: [:]
    }
  }

  public init(type: String, schema: Int, data: Fields) throws {
    self = .own(try P.Event(type: type, schema: schema, data: data))
  }
}

/// What the engine writes into a saga's stream, whatever the saga is about.
public struct SagaMark: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case suspended = "SagaSuspended"
    case parked = "SagaInputParked"
    /// A parked input was taken, and changed nothing.
    case passed = "SagaInputPassed"
    /// An operator leaves the input out at which the saga was suspended.
    case skipped = "SagaInputSkipped"
    case resumed = "SagaResumed"
  }

  public var kind: Kind
  /// Which saga: see ``ProcessManager/identity(of:_:)``. Set when it is written.
  public var identity: Fields = [:]
  /// The input that it is about.
  public var input: Position?
  public var inputType: String?
  public var reason: String
  public var by: String?
  /// Sent again when the saga goes on.
  public var commands: [OutgoingCommand]
  /// Live again when the saga goes on.
  public var timer: SagaTimer?

  init(
    _ kind: Kind, input: Position?, act: SagaAct, commands: [OutgoingCommand], timer: SagaTimer?
  ) {
    self.kind = kind
    self.input = input
    reason = act.reason
    by = act.by
    self.commands = commands
    self.timer = timer
  }

  private init(_ kind: Kind, _ event: Recorded, reason: String) {
    self.kind = kind
    input = event.position
    inputType = event.type
    self.reason = reason
    commands = []
  }

  static func suspended(_ event: Recorded, reason: String) -> SagaMark {
    SagaMark(.suspended, event, reason: reason)
  }
  static func parked(_ event: Recorded) -> SagaMark {
    SagaMark(.parked, event, reason: "the saga is suspended")
  }
  static func passed(_ event: Recorded) -> SagaMark {
    SagaMark(.passed, event, reason: "it changes nothing")
  }

  /// Nil for an event that is the saga's own.
  init?(_ event: Recorded) throws {
    guard let kind = Kind(rawValue: event.type) else { return nil }
    guard event.schema == 1 else { throw UnknownEvent(type: event.type, schema: event.schema) }
    self.kind = kind
    let input = try event.data.objectIfPresent("input")
    self.input = try input?.integerIfPresent("position").map(Position.init)
    inputType = try input?.stringIfPresent("type")
    reason = try event.data.string("reason")
    by = try event.data.stringIfPresent("by")
    commands = try OutgoingCommand.commands(in: event)
    timer = try SagaTimer(in: event)
  }

  var data: Fields {
    var data = identity
    var input: Fields = [:]
    input["position"] = self.input.map { .integer($0.rawValue) }
    input["type"] = inputType.map(Value.string)
    data["input"] = .object(input)
    data["reason"] = .string(reason)
    data["by"] = by.map(Value.string)
    if !commands.isEmpty {
      data[OutgoingCommand.field] = .array(commands.map { .object($0.fields) })
    }
    data[SagaTimer.field] = timer?.value
    return data
  }
}
