-- For wrk: places one order a request, and says for scripts/bench what came of it.
dofile("Benchmarks/http/figures.lua")

wrk.method = "POST"
wrk.body = '{"user_id":456,"product_id":101,"quantity":1}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["User-Agent"] = "wrk"
