import Commerce
import EventSourcing

/// Which fold a category takes, and how each aggregate's state looks as JSON.
enum StateFolds {
  static func fold(for category: String) -> any StateFold {
    switch category {
    case Orders.category: DeciderFold(Orders.self) { $0.rendered }
    case Inventory.category: DeciderFold(Inventory.self) { $0.rendered }
    case Payments.category: DeciderFold(Payments.self) { $0.rendered }
    case Products.category: DeciderFold(Products.self) { $0.rendered }
    case Customers.category: DeciderFold(Customers.self) { $0.rendered }
    case Notifications.category: DeciderFold(Notifications.self) { $0.rendered }
    default: MergingFold()
    }
  }
}

extension Order {
  fileprivate var rendered: Fields {
    var fields = initiated?.fields ?? [:]
    fields["status"] = .optional(status?.rawValue)
    fields["was_confirmed"] = .bool(wasConfirmed)
    return fields
  }
}

extension Stock {
  fileprivate var rendered: Fields {
    [
      "product_id": productID?.value ?? .null, "product_name": .optional(productName),
      "available_quantity": .integer(available), "reserved_quantity": .integer(reserved),
      "sold_quantity": .integer(sold), "received_quantity": .integer(received),
      "adjusted_quantity": .integer(adjusted),
      "locations": .array(
        onHand.map {
          ["location": .string($0.location.name), "available": .integer($0.quantity)]
        }),
      "reorder_level": .integer(reorderLevel),
      "open_reservations": .integer(Int64(reservationCount)),
    ]
  }
}

extension Payment {
  fileprivate var rendered: Fields {
    var fields = initiated?.fields ?? [:]
    fields["status"] = .optional(status?.rawValue)
    fields["possibly_charged"] = .bool(possiblyCharged)
    return fields
  }
}

extension Product {
  fileprivate var rendered: Fields {
    var fields = details?.fields ?? [:]
    fields["is_retired"] = .bool(isRetired)
    return fields
  }
}

extension Customer {
  fileprivate var rendered: Fields { details?.fields ?? [:] }
}

extension Commerce.Notification {
  fileprivate var rendered: Fields {
    var fields = requested?.fields ?? [:]
    fields["status"] = .optional(status?.rawValue)
    return fields
  }
}
