import Commerce
import EventSourcing

/// What a saga decided on one input: the transition and the commands to send, in one event.
public struct SagaEvent: Event, Hashable {
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case started = "SagaStarted"
    case advanced = "SagaAdvanced"
    case compensating = "SagaCompensating"
    case completed = "SagaCompleted"
    case compensated = "SagaCompensated"
    case compensationBlocked = "SagaCompensationBlocked"
    /// Commands are sent again: a blocked undo by its timer, anything by an operator.
    case retried = "SagaRetried"
  }

  /// The input that was taken. One that is no event of the log has no position.
  public struct Input: Sendable, Hashable {
    public var position: Position?
    public var type: String
  }

  /// The command whose end the input told.
  public struct Finished: Sendable, Hashable {
    public var step: OrderFulfilment.Step
    public var direction: SagaDirection
    public var outcome: SagaOutcome

    public init(
      _ step: OrderFulfilment.Step, _ direction: SagaDirection, _ outcome: SagaOutcome
    ) {
      self.step = step
      self.direction = direction
      self.outcome = outcome
    }
  }

  public var kind: Kind
  public var orderID: OrderID
  /// The order itself, in SagaStarted only.
  public var order: SagaOrder?
  public var stage: OrderFulfilment.Stage
  public var input: Input
  public var finished: Finished?
  public var commands: [OutgoingCommand]
  /// From the turning point on: why the saga turned back. In SagaCompensationBlocked: why the
  /// undo was refused.
  public var failure: SagaFailure?
  /// The rules that the saga began with, and keeps.
  public var definition: OrderFulfilment.Definition
  /// Durations in seconds that it began with, in SagaStarted only.
  public var settings: OrderFulfilment.Settings?
  /// The one timer that is live after it.
  public var timer: SagaTimer?
  /// What an operator did, when that was the input.
  public var act: SagaAct?

  init(
    kind: Kind, order: SagaOrder, stage: OrderFulfilment.Stage, input: Input,
    finished: Finished?, commands: [OutgoingCommand], failure: SagaFailure?,
    definition: OrderFulfilment.Definition = .current
  ) {
    self.definition = definition
    self.kind = kind
    self.orderID = order.id
    self.order = kind == .started ? order : nil
    self.stage = stage
    self.input = input
    self.finished = finished
    self.commands = commands
    self.failure = failure
  }

  public var type: String { kind.rawValue }

  /// From schema 2 on with a timer.
  public var schema: Int { Self.schema(of: kind) }

  private static func schema(of kind: Kind) -> Int { kind == .retried ? 1 : 2 }

  public var data: Fields {
    var fields: Fields = [
      "saga_id": .string(orderID.sagaID), "order_id": .string(orderID.text),
      "definition": .string(definition.rawValue), "state": .string(stage.rawValue),
      "input": .object(input.fields),
    ]
    fields["finished"] = finished.map { .object($0.fields) }
    fields[OutgoingCommand.field] = .array(commands.map { .object($0.fields) })
    fields["reason"] = failure.map { .string($0.reason) }
    fields["code"] = failure.map { .string($0.code) }
    order?.write(into: &fields)
    fields["settings"] = settings.map { .object($0.fields) }
    fields[SagaTimer.field] = timer?.value
    fields["act"] = act.map { .object($0.fields) }
    return fields
  }

  public init(type: String, schema: Int, data: Fields) throws {
    guard let kind = Kind(rawValue: type), schema == Self.schema(of: kind) else {
      throw UnknownEvent(type: type, schema: schema)
    }
    self.kind = kind
    orderID = try data.orderID()
    order = kind == .started ? try SagaOrder(fields: data) : nil
    stage = try data.choice("state")
    input = try Input(fields: try data.object("input"))
    finished = try data.objectIfPresent("finished").map(Finished.init(fields:))
    commands = try data.objects(OutgoingCommand.field, decode: OutgoingCommand.init(fields:))
    if let code = try data.stringIfPresent("code") {
      failure = SagaFailure(code: code, reason: try data.string("reason"))
    }
    definition = try data.choice("definition")
    settings = try data.objectIfPresent("settings").map(OrderFulfilment.Settings.init(fields:))
    timer = try data.objectIfPresent(SagaTimer.field).map(SagaTimer.init(fields:))
    act = try data.objectIfPresent("act").map(SagaAct.init(fields:))
  }
}

extension SagaEvent.Input {
  /// The type of an input that is the domain's refusal of a command.
  static let refusal = "CommandRefused"
  /// The type of an input that says that a command found its work done.
  static let nothingToDo = "NothingToDo"

  /// The type of an input that is the saga's own timer.
  static let timer = "TimerDue"
  /// The type of an input that an operator gives.
  static let act = "OperatorAct"

  init(_ input: SagaInput) {
    switch input.cause {
    case .event(let event), .parked(let event, _):
      self.init(position: event.position, type: event.type)
    case .refused(_, OrderFulfilment.nothingToDo, _): self.init(type: Self.nothingToDo)
    case .refused: self.init(type: Self.refusal)
    case .timer: self.init(type: Self.timer)
    case .act: self.init(type: Self.act)
    }
  }

  fileprivate init(fields: Fields) throws {
    self.init(
      position: try fields.integerIfPresent("position").map(Position.init),
      type: try fields.string("type"))
  }

  fileprivate var fields: Fields {
    var fields: Fields = [:]
    fields["position"] = position.map { .integer($0.rawValue) }
    fields["type"] = .string(type)
    return fields
  }
}

extension SagaEvent.Finished {
  fileprivate init(fields: Fields) throws {
    self.init(
      try fields.choice("step"), try fields.choice("direction"), try fields.choice("outcome"))
  }

  fileprivate var fields: Fields {
    [
      "step": .string(step.rawValue), "direction": .string(direction.rawValue),
      "outcome": .string(outcome.rawValue),
    ]
  }
}

extension Fields {
  fileprivate func choice<T: RawRepresentable<String>>(_ key: String) throws(FieldError) -> T {
    let text = try string(key)
    guard let value = T(rawValue: text) else {
      throw FieldError(key, .invalid("\(text) is not known here"))
    }
    return value
  }
}
