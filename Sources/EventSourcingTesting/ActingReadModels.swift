import EventSourcing

/// A store during whose comparisons something happens first.
struct ActingReadModels: ForwardingReadModels {
  let base: any ReadModelStore
  private let act: @Sendable () async throws -> Void

  init(_ base: any ReadModelStore, beforeComparing act: @escaping @Sendable () async throws -> Void)
  {
    self.base = base
    self.act = act
  }

  func compare(_ old: String, with new: String) async throws -> RowComparison {
    try await act()
    return try await base.compare(old, with: new)
  }
}
