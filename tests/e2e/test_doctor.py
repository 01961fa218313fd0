"""chain doctor: each thing that can be wrong is found, named, and has something to do about it."""
import json
import os
import pathlib
import resource
import shutil
import subprocess
import unittest

from harness import Process, World, program

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


class Doctor(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def run_it(self, *args, env=None, preexec=None):
        done = subprocess.run([program("chain"), "doctor"] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60, env=dict(os.environ, **(env or {})), preexec_fn=preexec)
        return done.returncode, done.stdout, done.stderr

    def findings(self, chain, code, **more):
        """Those of the JSON document, without the one about the kernel's synchronisation: it is this host's."""
        rc, out, err = self.run_it("--chain", chain, "--json", **more)
        self.assertEqual((rc, err), (code, ""), out)
        document = json.loads(out)
        self.assertEqual(sorted(document), ["exit_code", "findings", "problems", "warnings"])
        self.assertEqual(document["exit_code"], code)
        for level in ("problem", "warning"):
            self.assertEqual(document[level + "s"], len([f for f in document["findings"] if f["level"] == level]))
        for f in document["findings"]:
            self.assertEqual(sorted(f), ["found", "hop", "level", "remedy", "section", "slug"])
            if f["level"] == "problem":
                self.assertTrue(f["remedy"], f)
        return [f for f in document["findings"] if f["section"] != "clock" or f["hop"] is not None]

    def bad(self, findings):
        return [(f["level"], f["section"], f["hop"], f["slug"]) for f in findings if f["level"] != "ok"]

    def test_all_is_well(self):
        hops = self.world.hops(3)
        chain = self.world.chain(hops, "example.org:443")
        found = self.findings(chain, 0)
        self.assertEqual(self.bad(found), [])
        self.assertEqual([(f["section"], f["hop"]) for f in found],
                         [("file", None), ("keys", None), ("limits", None), ("cpu", None), ("dns", 1),
                          ("clock", 1), ("clock", 2), ("clock", 3), ("hops", 1), ("hops", 2), ("hops", 3),
                          ("udp", None), ("size", None), ("size", 1)])
        self.assertRegex(found[1]["found"], "^3 key files, readable by their owner alone$")
        self.assertRegex(found[8]["found"], r"^hop 1 \(127\.0\.0\.1:%d\) answered in \d+\.\d ms, resolved in \d+\.\d ms, "
                         r"connected in \d+\.\d ms: hopchain \d" % hops[0].port())
        self.assertRegex(found[11]["found"], r"^datagrams come through all 3 hops, in \d+\.\d ms$")
        self.assertRegex(found[12]["found"], r"^datagrams of \d{4} bytes fit a link of 1500, the first ones of a flow \d+$")

    def test_for_people(self):
        chain = self.world.chain(self.world.hops(2))
        rc, out, err = self.run_it("--chain", chain)
        self.assertEqual((rc, err), (0, ""))
        self.assertNotIn("\033", out)
        self.assertLessEqual(max(len(line) for line in out.split("\n")), 80 + len(chain))
        self.assertRegex(out, r"(?m)^file    ok       \S+chain\.json is right$")
        self.assertRegex(out, r"(?m)^hops    ok       hop 1 \(")
        self.assertRegex(out, r"(?m)^        ok       hop 2 \(")
        self.assertRegex(out, r"\n\n0 problems, \d warnings?\n$")
        self.assertIn("\033[32mok\033[0m", self.run_it("--chain", chain, "--color", "always")[1])

    def test_letters_of_other_locales_are_ascii(self):
        chain = self.world.chain(self.world.hops(1))
        named = self.world.path("b\u00fcro.json")
        shutil.copy(chain, named)
        for locale, arrow in (("C", "-> "), ("C.UTF-8", "\u2192 ")):
            out = self.run_it("--hop", "127.0.0.1:1,%s" % self.world.key(), env={"LC_ALL": locale})[1]
            self.assertRegex(out, r"(?m)^ {17}%s\S" % arrow)
            out = self.run_it("--chain", named, env={"LC_ALL": locale})[1]
            self.assertEqual(out.isascii(), locale == "C", out)

    def test_hops_of_the_command_line(self):
        hops = self.world.hops(2)
        flags = [word for h in hops for word in ("--hop", "127.0.0.1:%d,%s" % (h.port(), h.key))]
        rc, out, err = self.run_it(*flags, "--json")
        self.assertEqual((rc, err), (0, ""))
        self.assertEqual([f["found"] for f in json.loads(out)["findings"] if f["section"] == "keys"],
                         ["2 key files, readable by their owner alone"])

    def test_the_second_hop_is_dead(self):
        hops = self.world.hops(3)
        chain = self.world.chain(hops)
        addr = "127.0.0.1:%d" % hops[1].port()
        hops[1].end()
        found = self.findings(chain, 6)
        self.assertEqual(self.bad(found), [("problem", "hops", 2, "refused"), ("warning", "hops", 3, None),
                                           ("warning", "udp", 2, found[-3]["slug"])])
        problem = [f for f in found if f["level"] == "problem"][0]
        self.assertRegex(problem["found"], r"^hop 1 could not reach hop 2 \(%s\): refused after \d+ ms: nothing listens "
                         "there$" % addr)
        self.assertIn("chain explain refused", problem["remedy"])

    def test_a_wrong_key_at_the_third_hop(self):
        hops = self.world.hops(3)
        pairs = [("127.0.0.1:%d" % h.port(), h.key) for h in hops]
        pairs[2] = (pairs[2][0], self.world.key())
        found = self.findings(self.world.chain(pairs, timeouts={"connect": "1s"}), 7)
        self.assertIn(("problem", "hops", 3, "no-answer"), self.bad(found))
        problem = [f for f in found if f["level"] == "problem"][0]
        self.assertIn("hop 3 did not answer: wrong key, clock more than 30 s off, or not one of ours", problem["found"])
        self.assertEqual(problem["remedy"], "the log of hop 3 says which (chain explain no-answer)")
        hops[2].wait_log("rejected reason=unknown-key")

    def test_the_first_hop_has_no_such_name(self):
        chain = self.world.chain([("no-such-name.invalid:7000", self.world.key())], timeouts={"connect": "2s"})
        found = self.findings(chain, 5)
        self.assertEqual([f["section"] for f in found if f["level"] == "problem"], ["dns", "hops"])

    def test_udp_is_blocked_at_the_second_hop(self):
        hops = self.world.hops(3)
        key = self.world.key()
        config = pathlib.Path(self.world.path("hop.json"))
        config.write_text(json.dumps({
            "listen": [{"addr": "127.0.0.1:0", "udp": False}], "users": [{"name": "me", "key_file": key}],
            "targets": {"allow": ["loopback"]}}))
        hops[1] = self.world.add(Process([program("hop"), "--config", str(config)]))
        hops[1].key = key
        found = self.findings(self.world.chain(hops), 0)
        ((level, section, hop, _),) = self.bad(found)
        self.assertEqual((level, section, hop), ("warning", "udp", 2))
        warning = [f for f in found if f["level"] == "warning"][0]
        self.assertRegex(warning["found"], "^datagrams do not reach hop 2, or its answers do not come back, though "
                         "connections do: ")
        self.assertIn('"udp": "stream"', warning["remedy"])

    def fake(self, offset):
        return {"LD_PRELOAD": FAKETIME, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_a_clock_that_is_off(self):
        chain = self.world.chain(self.world.hops(2), timeouts={"connect": "1s"})
        found = self.findings(chain, 0, env=self.fake("+6s"))
        self.assertEqual(self.bad(found), [("warning", "clock", 1, None), ("warning", "clock", 2, None)])
        self.assertIn("this machine is 6 s ahead of hop 2 (refused from 10 s)", [f["found"] for f in found])
        found = self.findings(chain, 7, env=self.fake("-40s"))
        self.assertIn(("problem", "hops", 1, "no-answer"), self.bad(found))

    def test_a_key_that_others_may_read(self):
        hops = self.world.hops(2)
        chain = self.world.chain(hops)
        os.chmod(hops[1].key, 0o644)
        found = self.findings(chain, 3)
        self.assertEqual(self.bad(found), [("problem", "file", None, None)])
        self.assertTrue(found[0]["found"].endswith("/hops/1/key_file: %s: mode 0644 lets others read this secret"
                                                   % hops[1].key))
        self.assertEqual(found[0]["remedy"], "chmod 600 " + hops[1].key)

    def test_a_folder_that_everybody_may_write(self):
        hops = self.world.hops(1)
        chain = self.world.chain(hops)
        os.chmod(self.world.dir, 0o777)
        found = self.findings(chain, 0)
        self.assertEqual(set(self.bad(found)), {("warning", "file", None, None), ("warning", "keys", None, None)})
        self.assertIn("chmod o-w %s" % self.world.dir, [f["remedy"] for f in found])

    def test_few_descriptors(self):
        chain = self.world.chain(self.world.hops(1))
        found = self.findings(chain, 0, preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
        self.assertEqual(self.bad(found), [("warning", "limits", None, None)])
        self.assertIn("256 descriptors, at most 256; a connection takes two", [f["found"] for f in found])

    def test_no_chain(self):
        env = {"HOME": str(self.world.dir), "XDG_CONFIG_HOME": str(self.world.dir), "HOPCHAIN_CHAIN": ""}
        rc, out, err = self.run_it("--json", env=env)
        self.assertEqual((rc, out), (2, ""))
        self.assertIn("no chain: give --chain FILE", err)


if __name__ == "__main__":
    unittest.main()
