"""Computes what test/verdict/ holds the statistics to, independently of them: by 50-digit integration and exact
fractions (mpmath, fractions) and by SciPy.

    pip install scipy==1.17.1 mpmath==1.4.1
    python3 scripts/oracles/verdict.py

Writes test/verdict/oracles/*.json; each case names its inputs, its value and nothing else. Deterministic: running it
again changes nothing.
"""

import json
import pathlib
import re
from fractions import Fraction
from math import comb

from mpmath import exp, inf, log, log1p, loggamma, mp, mpf, pi, quad, sqrt
from scipy import optimize, special, stats

mp.dps = 50
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "test" / "verdict" / "oracles"


def literal(value):
    # 1e-5 and 1e16, not 1e-05 and 1e+16: the formatter's spelling.
    text = json.dumps(value)
    return re.sub(r"e([+-])0*(\d+)", lambda found: "e" + found[1].replace("+", "") + found[2], text)


def write(name, groups):
    # Laid out as the repository's formatter lays it out, so that a second run leaves no difference.
    lines = ["{"]
    for index, (group, cases) in enumerate(groups.items()):
        lines.append(f'  "{group}": [')
        body = []
        for position, case in enumerate(cases):
            entries = [f'"{key}": {literal(value)}' for key, value in case.items()]
            flat = "    { " + ", ".join(entries) + " }"
            fits = len(flat) + (position < len(cases) - 1) <= 100
            body.append(flat if fits else "    {\n      " + ",\n      ".join(entries) + "\n    }")
        lines.append(",\n".join(body))
        lines.append("  ]" + ("," if index < len(groups) - 1 else ""))
    lines.append("}")
    (FOLDER / name).write_text("\n".join(lines) + "\n")


def log_beta(p, q):
    return loggamma(p) + loggamma(q) - loggamma(p + q)


def log_beta_integral(p, q, start, end):
    """ln of the integral of t^(p-1) (1-t)^(q-1) over (start, end), piece by piece around its peak."""
    p, q, start, end = mpf(p), mpf(q), mpf(start), mpf(end)

    def height(t):
        if t <= 0 or t >= 1:
            return -inf if (p > 1 if t <= 0 else q > 1) else mpf(0)
        return (p - 1) * log(t) + (q - 1) * log(1 - t)

    mode = (p - 1) / (p + q - 2) if p + q > 2 else mpf(1) / 2
    peak = min(max(mode, start), end)
    inner = min(max(peak, mpf(10) ** -30), 1 - mpf(10) ** -30)
    slope = abs((p - 1) / inner - (q - 1) / (1 - inner))
    bend = sqrt(abs(p - 1) / inner**2 + abs(q - 1) / (1 - inner) ** 2)
    scale = 1 / max(slope, bend, mpf(1))
    points = {start, end, peak}
    for sign in (-1, 1):
        for step in (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128):
            point = peak + sign * step * scale
            if start < point < end:
                points.add(point)
    top = height(inner)
    points = sorted(points)
    total = mpf(0)
    for left, right in zip(points, points[1:]):
        total += quad(lambda t: exp(height(t) - top) if 0 < t < 1 else mpf(0), [left, right])
    return top + log(total)


def special_functions():
    gamma = [
        {"x": x, "value": float(loggamma(mpf(x)))}
        for x in (1e-12, 0.001, 0.25, 0.5, 0.9, 1, 1.5, 2, 2.25, 3.7, 10, 15.99, 16, 100.5, 12345.678, 1e6, 1e9, 1e15)
    ]
    stirling = [
        {
            "x": x,
            "value": float(loggamma(mpf(x)) - ((mpf(x) - mpf(1) / 2) * log(mpf(x)) - x + log(2 * pi) / 2)),
        }
        for x in (1e-12, 0.001, 0.25, 0.5, 0.9, 1, 1.5, 2, 2.25, 3.7, 10, 15.99, 16, 100.5, 12345.678, 1e6, 1e9)
    ]
    pairs = [
        (0.5, 0.5), (1, 1), (2, 3), (5, 5), (0.01, 100), (1, 1e9), (37, 14), (1000.5, 3.25), (50501, 49501),
        (500000001, 500000001), (500030001, 499970001), (1000001, 999000001), (3, 999999999),
    ]
    beta = [{"p": p, "q": q, "value": float(log_beta(mpf(p), mpf(q)))} for p, q in pairs]
    relative = [
        {
            "p": p,
            "q": q,
            "x": x,
            "value": float(log_beta(mpf(p), mpf(q)) - p * log(mpf(x)) - q * log(1 - mpf(x))),
        }
        for p, q in pairs
        for x in (0.5, 0.001, 0.95)
    ]
    tails = []
    for p, q, x in (
        (1, 1, 0.3), (2, 3, 0.5), (5, 5, 0.5), (1, 1001, 0.00368), (3, 98, 0.2), (37, 15, 0.5),
        (15, 37, 0.5), (121, 880, 0.1), (1001, 2, 0.5), (2, 1001, 0.5), (50501, 49501, 0.5), (49501, 50501, 0.5),
        (500000001, 500000001, 0.5), (500030001, 499970001, 0.5), (499970001, 500030001, 0.5),
        (1000001, 999000001, 0.001), (1, 1e9, 0.5), (1e9, 1, 0.5),
    ):
        beta_log = log_beta(mpf(p), mpf(q))
        lower = log_beta_integral(p, q, 0, x) - beta_log
        upper = log_beta_integral(p, q, x, 1) - beta_log
        check = exp(lower) + exp(upper)
        assert abs(check - 1) < mpf(10) ** -20, (p, q, x, check)
        tails.append({"p": p, "q": q, "x": x, "lower": float(lower), "upper": float(upper)})
    normal = [
        {"z": z, "logUpper": float(stats.norm.logsf(z))}
        for z in (-40, -8, -1.5, -0.3, 0, 1e-9, 0.5, 1, 1.4999, 1.5, 1.96, 3, 6, 12, 38, 100, 10000)
    ]
    quantile = [
        {"tail": tail, "z": float(stats.norm.isf(tail))}
        for tail in (1e-300, 1e-100, 1e-16, 1e-9, 0.0005, 0.01, 0.025, 0.05, 0.2, 0.49, 0.5, 0.6, 0.975, 0.999)
    ]
    write(
        "special-functions.json",
        {
            "logGamma": gamma,
            "stirlingError": stirling,
            "logBeta": beta,
            "logBetaRelative": relative,
            "betaTails": tails,
            "normalUpperTail": normal,
            "normalUpperQuantile": quantile,
        },
    )


def mcnemar_log(worse, better, prior):
    count = worse + better
    return (
        count * log(mpf(2))
        + log_beta_integral(prior + worse, prior + better, mpf(1) / 2, 1)
        - log_beta(mpf(prior), mpf(prior))
        + log(mpf(2))
    )


def mcnemar_exact(worse, better):
    count = worse + better
    return Fraction(sum(comb(count + 1, k) for k in range(worse + 1)), (count + 1) * comb(count, worse))


def one_sample_log(k, count, rate):
    rate = mpf(rate)
    return (
        log_beta_integral(1 + k, 1 + count - k, rate, 1)
        - log1p(-rate)
        - k * log(rate)
        - (count - k) * log1p(-rate)
    )


def betting_log(claim, worse, better, count, margin):
    sign = 1 if claim == "harm" else -1
    margin = mpf(margin)
    top = mpf("0.98") / (1 + sign * margin)
    weight = mpf("0.05") if claim == "harm" else mpf("0.3")
    total = mpf(0)
    for index in range(16):
        stake = mpf("0.01") * (top / mpf("0.01")) ** (mpf(index) / 15)
        share = weight if index == 15 else (1 - weight) / 15
        total += share * exp(
            worse * log(1 + sign * stake * (1 - margin))
            + better * log(1 - sign * stake * (1 + margin))
            + (count - worse - better) * log(1 - sign * stake * margin)
        )
    return log(total)


def quantile_log(at_or_below, count, level, alpha, tuned):
    level, alpha = mpf(level), mpf(alpha)
    doubled = 2 * log(1 / alpha)
    prior = tuned / (doubled + log(1 + doubled)) - 1
    return (
        log_beta(prior * level + at_or_below, prior * (1 - level) + count - at_or_below)
        - log_beta(prior * level, prior * (1 - level))
        - at_or_below * log(level)
        - (count - at_or_below) * log(1 - level)
    )


def sequential():
    mcnemar = [
        {"worse": b, "better": c, "prior": a, "value": float(mcnemar_log(b, c, a))}
        for b, c in (
            (1, 0), (0, 1), (7, 0), (7, 1), (1, 7), (36, 14), (14, 36), (120, 80), (1000, 900), (0, 1000), (1000, 0),
            (50500, 49500), (49500, 50500), (500100, 499900), (1000000, 0), (0, 1000000),
            (500000000, 500000000), (500030000, 499970000), (499970000, 500030000), (510000000, 490000000),
            (1000000000, 0), (0, 1000000000),
        )
        for a in (1, 2, 5, 0.5)
    ]
    exact = []
    for b, c in ((0, 0), (1, 0), (0, 1), (3, 0), (5, 0), (6, 0), (7, 0), (7, 1), (1, 7), (36, 14), (200, 180)):
        value = mcnemar_exact(b, c)
        exact.append(
            {
                "worse": b,
                "better": c,
                "numerator": str(value.numerator),
                "denominator": str(value.denominator),
                "value": float(log(mpf(value.numerator)) - log(mpf(value.denominator))),
            }
        )
    betting = [
        {"claim": claim, "worse": b, "better": c, "pairs": n, "margin": m, "value": float(betting_log(claim, b, c, n, m))}
        for claim in ("harm", "safe")
        for b, c, n in (
            (0, 0, 0), (0, 0, 420), (0, 0, 4100), (0, 0, 4200), (5, 5, 10000), (30, 10, 5000), (10, 30, 5000),
            (400, 100, 500), (0, 500, 500), (500, 0, 500), (90000, 90500, 1000000), (0, 0, 1000000000),
            (1000000, 200000, 1000000000), (300000000, 300000000, 1000000000), (1000000000, 0, 1000000000),
        )
        for m in (0.001, 0.01, 0, -0.01, 0.5, -0.9)
    ]
    rate = [
        {"differing": k, "pairs": n, "rate": r, "value": float(one_sample_log(k, n, r))}
        for k, n, r in (
            (1, 1, 0.01), (5, 100, 0.01), (0, 50, 0.01), (0, 1, 0.5), (100, 100, 0.5), (30, 350, 0.00036882),
            (4000, 1000000, 0.004), (4000, 1000000, 0.0038), (0, 1000000000, 0.001), (1100000, 1000000000, 0.001),
            (900000, 1000000000, 0.001), (1000000000, 1000000000, 0.999),
        )
    ]
    quantile = [
        {"atOrBelow": k, "count": n, "level": p, "alpha": a, "tuned": t, "value": float(quantile_log(k, n, p, a, t))}
        for k, n, p, a, t in (
            (0, 1, 0.5, 0.05, 1000), (453, 1000, 0.5, 0.05, 1000), (452, 1000, 0.5, 0.05, 1000),
            (547, 1000, 0.5, 0.05, 1000), (548, 1000, 0.5, 0.05, 1000), (4702, 5000, 0.95, 0.05, 5000),
            (4701, 5000, 0.95, 0.05, 5000), (990, 1000, 0.99, 0.01, 5000), (0, 1000, 0.99, 0.01, 5000),
            (989999000, 1000000000, 0.99, 0.05, 100000), (500050000, 1000000000, 0.5, 0.05, 100000),
        )
    ]
    write(
        "sequential.json",
        {
            "sequentialMcnemar": mcnemar,
            "exactSequentialMcnemar": exact,
            "betting": betting,
            "oneSample": rate,
            "quantile": quantile,
        },
    )


def fixed_sample():
    mcnemar = []
    for b, c in (
        (150, 86), (86, 150), (1, 7), (7, 1), (0, 0), (0, 1), (1, 0), (5, 5), (0, 20), (200, 100), (5000, 4800),
        (500200, 499800), (10000, 0), (500030000, 499970000),
    ):
        n = b + c
        mass = float(stats.binom.pmf(b, n, 0.5)) if n else 1.0
        worse = float(stats.binom.sf(b - 1, n, 0.5)) if n else 1.0
        uneven = float(stats.binom.sf(max(b, c) - 1, n, 0.5)) if n else 1.0
        mcnemar.append(
            {
                "worse": b,
                "better": c,
                "exactTwoSided": min(1.0, 2 * uneven),
                "exactWorse": worse,
                "asymptoticTwoSided": float(stats.chi2.sf((b - c) ** 2 / n, 1)) if n else 1.0,
                "correctedTwoSided": float(stats.chi2.sf(max(0, abs(b - c) - 1) ** 2 / n, 1)) if n else 1.0,
                "mass": mass,
            }
        )
    wilson = []
    clopper = []
    for k, n in ((0, 1), (1, 1), (0, 2995), (3, 10), (1, 100000), (99999, 100000), (500, 1000000), (123456, 1000000)):
        for alpha in (0.05, 0.001):
            ci = stats.binomtest(k, n).proportion_ci(1 - alpha, method="wilson")
            wilson.append({"events": k, "pairs": n, "alpha": alpha, "lower": float(ci.low), "upper": float(ci.high)})
            clopper.append(
                {
                    "events": k,
                    "pairs": n,
                    "alpha": alpha,
                    "lower": float(special.betaincinv(k, n - k + 1, alpha)) if k else 0.0,
                    "upper": float(special.betaincinv(k + 1, n - k, 1 - alpha)) if k < n else 1.0,
                }
            )
    # Large samples: by root finding on SciPy's distribution function.
    for k, n, alpha in ((1000000, 1000000000, 0.05), (3, 1000000000, 0.05)):
        beyond = (k + 40 + 40 * k**0.5) / n
        upper = optimize.brentq(lambda x: special.betainc(k + 1, n - k, x) - (1 - alpha), k / n, beyond, xtol=1e-18)
        lower = optimize.brentq(lambda x: special.betainc(k, n - k + 1, x) - alpha, 1e-12, k / n, xtol=1e-18)
        clopper.append({"events": k, "pairs": n, "alpha": alpha, "lower": lower, "upper": upper})
    write("fixed-sample.json", {"mcnemar": mcnemar, "wilson": wilson, "clopperPearson": clopper})


FOLDER.mkdir(parents=True, exist_ok=True)
special_functions()
sequential()
fixed_sample()
