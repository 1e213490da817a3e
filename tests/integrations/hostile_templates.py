"""Templates that try to take long or to grow large, made from a number: the same number, the same template.

Most of them stay just below the bounds of size, so that they have time to try to take.
"""

from random import Random

TEXT_FILTERS = (
    "append: t", "prepend: t", "replace: 'a', 'bb'", "replace: 'zz', t", "remove: 'b'", "replace_first: t, s", "split: ''",
    "split: 'a'", "split: ' '", "strip_html", "escape", "escape_once", "url_encode", "url_decode", "newline_to_br",
    "base64_encode", "upcase", "truncatewords: 9999", "truncate: 9999", "date: '%Y%Y%Y'", "slice: 1, 99999", "json",
    "strip_newlines", "squish", "size", "plus: 1", "times: n", "default: s", "uniq", "sort", "first", "join: s",
)  # fmt: skip
LIST_FILTERS = (
    "uniq", "sort", "sort_natural", "reverse", "join: ''", "join: s", "concat: m", "map: 'a'", "where: 'a', 'b'",
    "where: 'login'", "compact", "size", "first", "last", "json", "sum", "has: 'a', 'b'", "find: 'a', 'b'", "sort: 'a'",
    "reject: 'a', s", "slice: 1, 99999", "split: ''",
)  # fmt: skip
NUMBER_FILTERS = (
    "times: n",
    "plus: n",
    "minus: n",
    "divided_by: 3",
    "modulo: 7",
    "round: 99999",
    "append: s",
)
CONDITIONS = (
    "s contains 'zz'", "s contains t", "t contains s", "l contains 'zz'", "l == m", "l != m", "s == t", "s < t", "n < 3",
    "users == users", "l contains s", "s contains n", "l == m or l != m and s contains 'yy'",
)  # fmt: skip
LOOPS = ("(1..30000)", "(1..220)", "(1..99)", "(1..30)", "(1..n)", "l", "m", "users", "l reversed")


def template(number: int) -> str:
    return _Author(Random(number)).write()


class _Author:
    def __init__(self, random: Random) -> None:
        self.random = random

    def write(self) -> str:
        blocks = "".join(self._block(3) for _ in range(self.random.randint(1, 4)))
        return f"{self._values()}{blocks}"

    def _values(self) -> str:
        """Two texts, two lists and a number, as large as the bounds allow, or a little larger."""
        pick = self.random.choice
        texts = "".join(
            f"{{% assign {name} = '{pick(('a', 'b', 'ab', '<!', '&', '%4', 'a '))}' %}}"
            + f"{{% assign {name} = {name} | append: {name} %}}" * pick((0, 0, 4, 10, 12, 13, 14, 15, 16))
            for name in "st"
        )
        lists = "".join(
            f"{{% assign {name} = {pick(('s', 't', *['t']))} | split: '{pick(('', 'a', ' '))}' %}}" if self.random.random() < 0.5
            else f"{{% assign {name} = 'a,b,c' | split: ',' %}}"
            + f"{{% assign {name} = {name} | concat: {name} %}}" * pick((0, 5, 10, 12, 13, 14))
            for name in "lm"
        )  # fmt: skip
        return f"{texts}{lists}{{% assign n = 7 %}}" + "{% assign n = n | times: n %}" * pick((0, 0, 3, 6))

    def _block(self, depth: int) -> str:
        if depth == 0 or self.random.random() < 0.2:
            return self._leaf()
        body = "".join(self._block(depth - 1) for _ in range(self.random.randint(1, 3)))
        if self.random.random() < 0.3:
            return f"{{% if {self.random.choice(CONDITIONS)} %}}{body}{{% endif %}}"
        tag = self.random.choice(("for", "for", "for", "tablerow"))
        return f"{{% {tag} i in {self.random.choice(LOOPS)} %}}{body}{{% end{tag} %}}"

    def _leaf(self) -> str:
        name, filters = self.random.choice(
            (
                ("s", TEXT_FILTERS),
                ("t", TEXT_FILTERS),
                ("l", LIST_FILTERS),
                ("m", LIST_FILTERS),
                ("n", NUMBER_FILTERS),
            )
        )
        chain = "".join(f" | {self.random.choice(filters)}" for _ in range(self.random.randint(1, 3)))
        condition = self.random.choice(CONDITIONS)
        return self.random.choice((
            f"{{% if {condition} %}}{{% endif %}}",
            f"{{% if {condition} %}}{{% endif %}}" * 20,
            f"{{% assign x = {name}{chain} %}}",
            f"{{% assign x = {name}{chain} | size %}}",
            f"{{% assign {name} = {name}{chain} %}}",
            f"{{{{ {name}{chain} | size }}}}",
            f"{{% capture x %}}{{{{ {name}{chain} }}}}{{% endcapture %}}",
            f"{{% case {name} %}}{{% when s %}}{{% when t %}}{{% when l %}}x{{% endcase %}}",
            "{% cycle s, t %}{% increment z %}{% ifchanged %}{{ s }}{% endifchanged %}",
            "{% unless s contains t %}{% break %}{% endunless %}",
        ))  # fmt: skip
