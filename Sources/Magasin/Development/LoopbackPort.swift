import NIOCore
import NIOPosix

/// Ports on 127.0.0.1.
enum LoopbackPort {
  static func isFree(_ port: Int) -> Bool { bound(port) != nil }

  /// Asks by connecting: trying to bind would be in the way of the one who is about to listen.
  static func isListening(_ port: Int) -> Bool {
    let channel = try? ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port).wait()
    defer { try? channel?.close().wait() }
    return channel != nil
  }

  /// `preferred` when nobody listens there, else one that the system gives.
  static func free(preferring preferred: Int) throws -> Int {
    guard let port = bound(preferred) ?? bound(0) else {
      throw CommandFailure(description: "No port is free on 127.0.0.1.")
    }
    return port
  }

  private static func bound(_ port: Int) -> Int? {
    let channel = try? ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .bind(host: "127.0.0.1", port: port).wait()
    defer { try? channel?.close().wait() }
    return channel?.localAddress?.port
  }
}
