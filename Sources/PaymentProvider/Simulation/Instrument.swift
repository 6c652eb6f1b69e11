import EventSourcing

/// What a payment is made with: a payment method by name, or a card.
enum Instrument: Sendable, Hashable {
  case method(String)
  case card(PaymentCard)

  /// The name the ledger keeps. Of a card it keeps the last four digits, never the number.
  var methodName: String {
    switch self {
    case .method(let name): name
    case .card: "card"
    }
  }

  var cardEnding: String? {
    switch self {
    case .method: nil
    case .card(let card): String(card.number.suffix(4))
    }
  }
}

/// Why a bank says no.
public enum DeclineCode: String, Sendable, CaseIterable {
  case cardDeclined = "CARD_DECLINED"
  case insufficientFunds = "INSUFFICIENT_FUNDS"
  case expiredCard = "EXPIRED_CARD"

  var reason: String {
    switch self {
    case .cardDeclined: "the bank declined the card"
    case .insufficientFunds: "the account does not hold enough money"
    case .expiredCard: "the card has expired"
    }
  }
}

enum ProcessingOutcome: Sendable, Hashable {
  case capture
  case decline(DeclineCode)
}
