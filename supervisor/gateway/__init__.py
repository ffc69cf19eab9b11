"""The data plane: admits, holds, routes, journals, replays and resumes the clients' requests.

Pure parts (values in, values out, time as an argument): `sse`, `wire`, `errors`, `call`, `journal`,
`deadlines`, `poison`, `answer`, `admission`, `routing`, `steps`, `counters`. The shell around them:
`hub` (shared state and waiting), `attempt` (one try on one worker), `relay` (all tries of one
request), `delivery` and `chat` (towards the client), `app` and `control` (the two HTTP faces),
`handback` (the listening socket), `process` (the process itself).
"""
