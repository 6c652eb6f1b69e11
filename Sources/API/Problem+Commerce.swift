import Commerce
import EventSourcing
import Projections

extension Problem {
  /// What the shop and its aggregates refuse; nil for an error that is not theirs.
  ///
  /// An id that is not known counts as a wrong value of a body's field here. Routes that took it
  /// from the path answer 404 instead, see ``inPath(_:)``.
  init?(ofCommerce error: any Error) {
    switch error {
    case let error as ShopRejection: self.init(error)
    case let error as OrderRejection: self.init(error)
    case let error as StockRejection: self.init(error)
    case let error as PaymentRejection: self.init(error)
    case let error as ProductRejection: self.init(error)
    case let error as CustomerRejection: self.init(error)
    case let error as NotificationRejection: self.init(error)
    case let error as PastUnavailable: self.init(error)
    case let error as ProjectionAdministrationError: self.init(error)
    case let error as ProjectionOperations.Refusal: self.init(error)
    case let error as SagaActIncomplete: self.init(error)
    default: return nil
    }
  }

  private init(_ rejection: ShopRejection) {
    switch rejection {
    case .unknownProduct(let id):
      self.init(.unknownProduct, "product \(id) is not in the catalogue", field: "product_id")
    case .retiredProduct(let id):
      self.init(.retiredProduct, "product \(id) is no longer sold", field: "product_id")
    case .unknownCustomer(let id):
      self.init(.unknownCustomer, "customer \(id) is not registered", field: "user_id")
    case .unknownOrder(let id):
      self.init(.unknownOrder, "there is no order \(id)", field: "order_id")
    case .currencyMismatch(let expected, let got):
      self.init(
        .currencyMismatch, "the prices are in \(expected), not in \(got)", field: "currency")
    case .amountMismatch(let expected, let got):
      self.init(
        .amountMismatch, "\(expected) is due, not \(got)", field: "amount",
        members: [
          "expected_amount": expected.value, "currency": .string(expected.currency.code),
        ])
    case .orderNotPayable(let id, let status):
      self.init(.refused, "order \(id) is \(status.rawValue) and takes no payment")
    case .invalid(let error): self.init(error)
    }
  }

  private init(_ reason: PastUnavailable) {
    switch reason {
    case .unknownOrder(let id):
      self.init(.notFound, "there is no order \(id)", field: "order_id")
    case .beyondVersion(let version):
      self.init(FieldError("version", .invalid("is beyond the order's version \(version)")))
    case .notPlacedYet(let id):
      self.init(.notFound, "\(id) did not exist yet at that moment", field: "at")
    case .historyNotKept(let id):
      self.init(
        .historyNotKept,
        "the read model does not name all the events that made \(id) what it was then; its stream "
          + "can be replayed")
    }
  }

  private init(_ lack: SagaActIncomplete) {
    switch lack {
    case .reasonMissing: self.init(FieldError("reason", .invalid("must say why")))
    case .nameMissing: self.init(FieldError("by", .invalid("must say who")))
    }
  }

  private init(_ rejection: OrderRejection) {
    switch rejection {
    case .unknown: self.init(.unknownOrder, "there is no such order", field: "order_id")
    case .alreadyInitiated: self.init(.refused, "the order was placed already, otherwise")
    case .alreadyCancelled: self.init(.refused, "the order was cancelled already")
    case .noItems: self.init(.invalidValue, "items must not be empty", field: "items")
    case .quantityOutOfRange(let product):
      self.init(
        .invalidValue,
        "the quantity of product \(product) must be from \(Orders.quantityRange.lowerBound) to "
          + "\(Orders.quantityRange.upperBound) over all lines", field: "items")
    case .currencyMismatch(let expected, let got):
      self.init(
        .currencyMismatch, "one order has prices in \(expected) and in \(got)", field: "items")
    case .totalOutOfRange: self.init(.invalidValue, "the total is out of range", field: "items")
    }
  }

  private init(_ rejection: StockRejection) {
    switch rejection {
    case .insufficientStock(let requested, let available):
      self.init(
        .insufficientStock, "\(requested) pieces are wanted and \(available) are there",
        field: "quantity_change",
        members: [
          "requested_quantity": .integer(requested), "available_quantity": .integer(available),
        ])
    case .notHeld(let order):
      self.init(.refused, "order \(order) holds nothing, or its hold has expired")
    case .barred(let order):
      self.init(.refused, "the reservation of order \(order) was undone before it came")
    case .invalid(let error): self.init(error)
    }
  }

  private init(_ rejection: PaymentRejection) {
    switch rejection {
    case .notInitiated: self.init(.refused, "the order has no payment yet")
    case .alreadyInitiated: self.init(.refused, "the order has a payment already")
    case .alreadyPaid: self.init(.refused, "the order is paid already")
    case .voided: self.init(.refused, "the payment was undone before it was initiated")
    case .refundNotRequested: self.init(.refused, "nobody asked for a refund")
    case .invalid(let error): self.init(error)
    }
  }

  private init(_ rejection: ProductRejection) {
    switch rejection {
    case .unknown:
      self.init(.unknownProduct, "the product is not in the catalogue", field: "product_id")
    case .alreadyAdded: self.init(.refused, "the product exists already, otherwise")
    case .retired:
      self.init(.retiredProduct, "the product is no longer sold", field: "product_id")
    case .invalid(let error): self.init(error)
    }
  }

  private init(_ rejection: CustomerRejection) {
    switch rejection {
    case .alreadyRegistered: self.init(.refused, "the number belongs to another customer")
    case .invalid(let error): self.init(error)
    }
  }

  private init(_ rejection: NotificationRejection) {
    switch rejection {
    case .notRequested: self.init(.refused, "no such notification was asked for")
    }
  }

  private init(_ error: ProjectionOperations.Refusal) {
    switch error {
    case .notStopped: self.init(.refused, error.description)
    case .stoppedElsewhere(_, let position):
      self.init(
        .refused, error.description, field: "position",
        members: ["stopped_at": .integer(position.rawValue)])
    case .reasonMissing: self.init(.invalidValue, error.description, field: "reason")
    }
  }

  private init(_ error: ProjectionAdministrationError) {
    switch error {
    case .unknownProjection(let name):
      self.init(.notFound, "there is no projection \(name)", field: "name")
    case .rebuildRunning(let name):
      self.init(.rebuildRunning, "\(name) is being rebuilt already")
    }
  }

  /// An order: a problem of `field` in the path, where what is not known is not found.
  func inPath(_ field: String) -> Problem {
    guard kind == .unknownOrder else { return self }
    return Problem(.notFound, detail, field: field)
  }
}
