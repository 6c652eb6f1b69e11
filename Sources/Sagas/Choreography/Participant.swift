import Commerce
import EventSourcing
import Logging

/// Who takes part in order fulfilment when nobody conducts it. Each runs on a subscription of its
/// own, so that one may be missing while the others go on.
public enum Participant: String, Sendable, Hashable, CaseIterable {
  case inventory, payments, orders

  /// What this participant does.
  /// - Parameters:
  ///   - shop: where it looks orders up.
  ///   - dispatcher: the front door that its commands go through.
  public func policy(
    log: any EventLog, shop: Shop, dispatcher: any CommandDispatcher, logger: Logger
  ) -> any ChoreographyPolicy {
    let commands = ParticipantCommands(shop: shop, dispatcher: dispatcher, logger: logger)
    return switch self {
    case .inventory: InventoryPolicy(commands: commands)
    case .payments: PaymentsPolicy(commands: commands)
    case .orders: OrdersPolicy(commands: commands, log: log)
    }
  }
}

/// A participant's rule: when this happens, do that. It keeps no state; what it needs to know stands
/// in the event or in the order. Plugged into a `Subscription`.
///
/// Handling an event again does nothing new: its commands have the ids of the effects that they
/// bring about. A refusal by the domain is final and is handled; ``handle(_:)`` throws only what is
/// worth another try.
public protocol ChoreographyPolicy: Sendable {
  /// The subscription's name.
  var name: String { get }
  /// The order that an event asks something for; nil for all other events. Events of one order come
  /// one after the other, in the log's order.
  func key(for event: Recorded) -> String?
  func handle(_ event: Recorded) async throws
}
