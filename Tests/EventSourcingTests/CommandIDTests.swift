import EventSourcing
import Foundation
import Testing

@Suite("Command ids")
struct CommandIDTests {
  private static let effect = "order_01a203b6-cc7d-7844-95b4-70a672ebb470/pay/forward/1"

  @Test("the same effect has the same id for ever, and sorts at the time of what it names")
  func effects() throws {
    #expect(CommandID(effect: Self.effect).description == "01a203b6-cc7d-8393-9260-72236f115b39")
    #expect(
      CommandID(derivedFrom: Self.effect).description == "5c1a9eeb-88a0-8393-9260-72236f115b39")
    #expect(CommandID(effect: Self.effect) != CommandID(effect: Self.effect + "0"))
    let orders = (Int64(0)..<20).map { number in
      let order = CommandID.random(
        at: Timestamp(millisecondsSinceEpoch: 1_767_225_600_000 + number))
      return CommandID(effect: "order_\(order)/pay/forward/1").description
    }
    #expect(orders == orders.sorted())
  }

  @Test(
    "an effect that names nothing with a time has an id all the same",
    arguments: [
      "", "charge-1/outcome", "order_", "-------------------------------------------",
      // Of version 4, cut short, and no UUID at all.
      "order_9b2c4a1e-5d6f-4a7b-8c9d-0e1f2a3b4c5d/pay/forward/1",
      "order_01a203b6-cc7d-7844-95b4-70a672ebb47", "order_01a203b6-cc7d-7844-95b4-70a672ebb47x/é",
    ])
  func plain(_ effect: String) {
    #expect(CommandID(effect: effect) == CommandID(derivedFrom: effect))
  }

  @Test("an effect is known by the id that it had before ids sorted by time")
  func earlier() {
    for id in CommandID.all(ofEffect: Self.effect) {
      #expect(id.isOf(effect: Self.effect))
      #expect(!id.isOf(effect: Self.effect + "0"))
    }
    #expect(!CommandID.random().isOf(effect: Self.effect))
  }
}
