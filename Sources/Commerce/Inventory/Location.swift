import EventSourcing

/// Where stock lies. The depot sorts first, then the stores by number: the order in which stock is
/// taken when the buyer names no store.
public enum Location: Sendable, Hashable, Comparable, CustomStringConvertible {
  case depot
  /// The store's number, from 1.
  case store(Int64)

  /// The store that a request names, else the depot.
  public init(store: Int64?) {
    if let store { self = .store(store) } else { self = .depot }
  }

  /// Reads `depot` or `store_3`.
  public init?(_ name: String) {
    if name == "depot" {
      self = .depot
    } else if name.hasPrefix("store_"), let number = Int64(name.dropFirst(6)), number > 0 {
      self = .store(number)
    } else {
      return nil
    }
  }

  public var name: String {
    switch self {
    case .depot: "depot"
    case .store(let number): "store_\(number)"
    }
  }

  public var description: String { name }
}

/// So many pieces at one location.
public struct Allocation: Sendable, Hashable {
  public var location: Location
  public var quantity: Int64

  public init(_ location: Location, _ quantity: Int64) {
    self.location = location
    self.quantity = quantity
  }

  var value: Value {
    .object(
      FieldsWriter.fields(capacity: 2) {
        $0.add("location", location.name)
        $0.add("quantity", quantity)
      })
  }
}

extension Fields {
  public func location(_ key: String = "location") throws(FieldError) -> Location {
    guard let location = Location(try string(key)) else {
      throw FieldError(key, .invalid("must be depot or store_<number>"))
    }
    return location
  }

  public func allocations(_ key: String = "allocations") throws -> [Allocation] {
    try objects(key) { Allocation(try $0.location(), try $0.integer("quantity")) }
  }
}
