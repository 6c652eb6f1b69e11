import EventSourcing

/// What happens to the stock of a product, in `inventory/<product_id>`.
public enum StockEvent: Event, Hashable {
  case restocked(StockRestocked)
  case reserved(StockReserved)
  case unavailable(StockUnavailable)
  case released(StockReleased)
  case reservationBarred(StockReservationBarred)
  case holdExtended(StockHoldExtended)
  case holdSecured(StockHoldSecured)
  case deducted(StockDeducted)
  case adjusted(StockAdjusted)
  case transferred(StockTransferred)

  public var type: String {
    switch self {
    case .restocked: StockRestocked.type
    case .reserved: StockReserved.type
    case .unavailable: StockUnavailable.type
    case .released: StockReleased.type
    case .reservationBarred: StockReservationBarred.type
    case .holdExtended: StockHoldExtended.type
    case .holdSecured: StockHoldSecured.type
    case .deducted: StockDeducted.type
    case .adjusted: StockAdjusted.type
    case .transferred: StockTransferred.type
    }
  }

  public var schema: Int {
    switch self {
    case .reserved: StockReserved.schema
    case .restocked, .unavailable, .released, .reservationBarred, .holdExtended, .holdSecured,
      .deducted, .adjusted, .transferred:
      1
    }
  }

  public var data: Fields {
    switch self {
    case .restocked(let event): event.fields
    case .reserved(let event): event.fields
    case .unavailable(let event): event.fields
    case .released(let event): event.fields
    case .reservationBarred(let event): event.fields
    case .holdExtended(let event): event.fields
    case .holdSecured(let event): event.fields
    case .deducted(let event): event.fields
    case .adjusted(let event): event.fields
    case .transferred(let event): event.fields
    }
  }

  public init(type: String, schema: Int, data: Fields) throws {
    switch (type, schema) {
    case (StockRestocked.type, 1): self = .restocked(try StockRestocked(fields: data))
    case (StockReserved.type, StockReserved.schema):
      self = .reserved(try StockReserved(fields: data))
    case (StockUnavailable.type, 1): self = .unavailable(try StockUnavailable(fields: data))
    case (StockReleased.type, 1): self = .released(try StockReleased(fields: data))
    case (StockReservationBarred.type, 1):
      self = .reservationBarred(try StockReservationBarred(fields: data))
    case (StockHoldExtended.type, 1):
      self = .holdExtended(try StockHoldExtended(fields: data))
    case (StockHoldSecured.type, 1): self = .holdSecured(try StockHoldSecured(fields: data))
    case (StockDeducted.type, 1): self = .deducted(try StockDeducted(fields: data))
    case (StockAdjusted.type, 1): self = .adjusted(try StockAdjusted(fields: data))
    case (StockTransferred.type, 1): self = .transferred(try StockTransferred(fields: data))
    default: throw UnknownEvent(type: type, schema: schema)
    }
  }
}

/// Pieces of a product over all locations, as they are after an event.
public struct StockLevel: Sendable, Hashable {
  /// On hand and free: what may still be reserved or sold.
  public var available: Int64
  /// Held for orders.
  public var reserved: Int64

  public init(available: Int64, reserved: Int64) {
    self.available = available
    self.reserved = reserved
  }

  public init(fields: Fields) throws(FieldError) {
    available = try fields.integer("available_quantity")
    reserved = try fields.integer("reserved_quantity")
  }
}

extension FieldsWriter {
  mutating func add(_ level: StockLevel) {
    add("available_quantity", level.available)
    add("reserved_quantity", level.reserved)
  }

  mutating func add(_ key: String, _ allocations: [Allocation]) {
    add(key, .array(allocations.map(\.value)))
  }
}
