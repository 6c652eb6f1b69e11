import EventSourcing

/// All read models of the shop.
public enum ReadModels {
  public static let all: [any Projection] = [
    OrdersProjection(), StockProjection(), StatisticsProjection(), UserSummariesProjection(),
    SagasProjection(), ChoreographiesProjection(),
  ]
}
