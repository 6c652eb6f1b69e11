import Hummingbird
import NIOCore

/// What a request carries besides itself: its id and the address it came from.
public struct APIContext: RequestContext {
  public var coreContext: CoreRequestContextStorage
  /// Shown in the `X-Request-Id` header, in problems and in the server's log.
  public var requestID: String
  private let peer: SocketAddress?

  public init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    peer = source.channel.remoteAddress
    requestID = source.logger[metadataKey: "hb.request.id"]?.description ?? "\(RequestID())"
  }

  /// The address at the other end of the connection. `X-Forwarded-For` is not believed: anybody
  /// can send it.
  public var sourceIP: String? { peer?.ipAddress }
}
