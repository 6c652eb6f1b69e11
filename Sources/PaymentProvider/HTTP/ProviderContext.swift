import Hummingbird

/// A request context that can drop its connection: a provider that never answers has to.
struct ProviderContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let hangUp: @Sendable () async -> Void

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    let channel = source.channel
    hangUp = { try? await channel.close() }
  }
}
