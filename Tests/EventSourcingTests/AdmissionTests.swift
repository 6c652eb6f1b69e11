import EventSourcing
import Testing

@Suite("Admission")
struct AdmissionTests {
  /// Something that begins `rate` a second of what is asked for, and asks whether more may come.
  private struct Shop {
    let admission = Admission()
    var rate: Int
    var begun = 0
    var waiting = 0
    var now = Timestamp(millisecondsSinceEpoch: 1_800_000_000_000)

    /// A tenth of a second in which so many a second are asked for. Answers how many were refused.
    mutating func live(asked: Int) -> Int {
      let begins = min(waiting, rate / 10)
      begun += begins
      waiting -= begins
      var refused = 0
      for _ in 0..<(asked / 10) {
        if admission.refuses(begun: begun, waiting: waiting, at: now) {
          refused += 1
        } else {
          waiting += 1
        }
      }
      now = now.adding(milliseconds: 100)
      return refused
    }

    mutating func live(seconds: Int, asked: Int) -> Int {
      (0..<(seconds * 10)).reduce(0) { sum, _ in sum + live(asked: asked) }
    }
  }

  @Test("what can be begun is taken, for ever")
  func bearable() {
    var shop = Shop(rate: 500)
    #expect(shop.live(seconds: 120, asked: 490) == 0)
  }

  @Test("a burst is taken as a whole")
  func burst() {
    var shop = Shop(rate: 500)
    #expect(shop.live(seconds: 30, asked: 100) == 0)
    #expect(shop.live(seconds: 12, asked: 3_000) == 0)
    #expect(shop.waiting > 25_000)
    #expect(shop.live(seconds: 2, asked: 100) == 0)
  }

  @Test(
    "too much for long is refused until what was taken is begun at once, and then as much as is too much"
  )
  func flood() {
    var shop = Shop(rate: 500)
    #expect(shop.live(seconds: 14, asked: 1_000) == 0)
    #expect(shop.waiting > 6_000)
    #expect(shop.live(seconds: 20, asked: 1_000) > 0)
    for _ in 0..<60 {
      let refused = shop.live(seconds: 1, asked: 1_000)
      #expect((400...600).contains(refused))
      #expect((75...225).contains(shop.waiting))
    }
  }

  @Test("after a flood everything is taken again, also the next burst")
  func afterwards() {
    var shop = Shop(rate: 500)
    #expect(shop.live(seconds: 40, asked: 1_000) > 0)
    #expect(shop.live(seconds: 5, asked: 0) == 0)
    #expect(shop.live(seconds: 20, asked: 400) == 0)
    #expect(shop.live(seconds: 12, asked: 3_000) == 0)
  }

  @Test("what never begins is refused after a while, and taken when it begins again")
  func standstill() {
    var shop = Shop(rate: 0)
    #expect(shop.live(seconds: 14, asked: 100) == 0)
    #expect(shop.live(seconds: 10, asked: 100) > 500)
    shop.rate = 500
    // It takes a moment until that is seen.
    _ = shop.live(seconds: 8, asked: 100)
    #expect(shop.live(seconds: 60, asked: 100) == 0)
    // The work was given up and taken over again: it counts anew.
    shop.begun = 0
    #expect(shop.live(seconds: 60, asked: 400) == 0)
  }
}
