"""
What the tests stand on: servers, processes, people and clients, all of them real.

    def test_it(system):                                  # tests/acceptance
        web, relay, worker = system.web(), system.relay(), system.worker("first")
        answer = web.client(system.people.acme.token).post("/api/v1/exports", json={...})
        system.wait_for(lambda: system.value("SELECT count(*) FROM ..."), seconds=30, what="...")
        worker.kill()
"""
