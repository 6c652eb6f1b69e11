import Commerce
import EventSourcing
import Sagas
import Synchronization
import Testing

@Suite("The notification reactor")
struct NotificationReactorTests {
  final class FakeChannel: NotificationChannel {
    struct Broken: Error {}

    private let state: Mutex<(failures: Int, sent: [String])>

    init(failures: Int = 0) { state = Mutex((failures, [])) }

    var sent: [String] { state.withLock(\.sent) }

    func send(_ message: NotificationRequested) async throws -> String {
      try state.withLock { state in
        if state.failures > 0 {
          state.failures -= 1
          throw Broken()
        }
        state.sent.append(message.recipient)
        return "message-\(state.sent.count)"
      }
    }
  }

  private func outcome(_ channel: FakeChannel) async throws -> Recorded {
    let rig = try await Rig()
    let order = try await rig.place()
    let receipt = try await rig.shop.requestNotification(
      order: order, user: Rig.customer, recipient: "ada@example.com", subject: "Confirmed",
      context: rig.context())
    let request = try #require(receipt.commit?.events.first)
    let reactor = NotificationReactor(
      shop: Shop(log: rig.log), channel: channel, logger: .silent, clock: rig.time.clock)
    #expect(reactor.key(for: request) == request.stream.id)
    for _ in 0..<2 { try await reactor.handle(request) }
    return try #require(try await rig.log.stream(request.stream).last)
  }

  @Test("a message is sent once, also when its request is delivered twice")
  func sent() async throws {
    let channel = FakeChannel()
    let outcome = try await outcome(channel)
    #expect(outcome.type == "NotificationSent")
    #expect(outcome.data["message_id"] == "message-1")
    #expect(channel.sent == ["ada@example.com"])
  }

  @Test("a channel that fails a few times is tried again")
  func triedAgain() async throws {
    let channel = FakeChannel(failures: 4)
    #expect(try await outcome(channel).type == "NotificationSent")
  }

  @Test("a message that does not leave has failed")
  func failed() async throws {
    let channel = FakeChannel(failures: 5)
    let outcome = try await outcome(channel)
    #expect(outcome.type == "NotificationFailed")
    #expect(channel.sent.isEmpty)
  }
}
