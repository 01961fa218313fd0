"""A link that swallows everything, mid-transfer: both ends of an upload and of a download are told within 20 s."""
import json
import os
import pathlib
import subprocess
import unittest

HERE = pathlib.Path(__file__).parent
LIMIT_S = 23  # 20 s, and the sweep of a second, and what the machine may be late


CASES = (("encrypted", "hole"), ("header-only", "hole"), ("encrypted", "firewall"))


@unittest.skipUnless(os.geteuid() == 0, "needs root for network namespaces")
class BlackHole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All cases wait at the same time, each in its own namespace."""
        cls.running = {case: subprocess.Popen(["unshare", "-n", "/usr/bin/python3", str(HERE / "black_hole.py"), *case],
                                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                       for case in CASES}

    def told(self, case):
        out, errors = self.running[case].communicate(timeout=90)
        self.assertEqual(self.running[case].returncode, 0, errors)
        result = json.loads(out)
        for side in ("near", "far"):
            for way in ("d", "u"):
                after_s, how = result[side][way]
                self.assertLess(after_s, LIMIT_S, (side, way, result))
                self.assertNotIn(how, ("end", "AssertionError"), "a cut stream must not end cleanly")

    def test_encrypted(self):
        self.told(CASES[0])

    def test_header_only(self):
        self.told(CASES[1])

    def test_a_firewall_on_this_host(self):
        self.told(CASES[2])


if __name__ == "__main__":
    unittest.main(verbosity=2)
