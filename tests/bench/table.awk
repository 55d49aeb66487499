# SPDX-License-Identifier: Apache-2.0
# The table of tests/bench/rows. Input: "WHO CPUS ROW CPU WALL RESULT", one line a measurement;
# the least of each counts. A row whose result differs from the host's, or that did not end,
# has no figures and ends the run with status 1.

function least(who, row) {
	return (who, row) in cpu && !((who, row) in bad) ? cpu[who, row] : 0
}

function ratio(a, b) {
	return a > 0 && b > 0 ? a / b : 0
}

function cell(v, digits) {
	return v > 0 ? sprintf("%." digits "f", v) : "-"
}

function number(v) {
	return v > 0 ? sprintf("%.4f", v) : "null"
}

# Geometric mean of `of[row]` over the rows of a list; 0 unless all of it was measured.
function geomean(list, of,    names, n, k, sum) {
	n = split(list, names, " ")
	for (k = 1; k <= n; k++) {
		if (!(of[names[k]] > 0))
			return 0
		sum += log(of[names[k]])
	}
	return exp(sum / n)
}

function summary(name, list,    a, b, c) {
	a = geomean(list, ours_native)
	b = geomean(list, tcg_native)
	c = geomean(list, tcg_ours)
	if (!a && !b && !c)
		return
	printf "%-10s %9s %9s %9s %12s %12s %9s\n", name, "", "", "", cell(a, 2),
		cell(b, 2), cell(c, 2)
	printf ",\n  \"%s\": {\"ours_native\": %s, \"tcg_native\": %s, \"tcg_ours\": %s}",
		name, number(a), number(b), number(c) >json
}

function parallel(who,    one, two) {
	one = wall[who, "gzip-by-one"]
	two = wall[who, "gzip-by-two"]
	return ratio(2 * one, two)
}

{
	who = $1
	row = $3
	seen[row] = 1
	if ($6 == "lost") {
		bad[who, row] = "did not end"
	} else {
		if (!((who, row) in cpu) || $4 < cpu[who, row])
			cpu[who, row] = $4
		if (!((who, row) in wall) || $5 < wall[who, row])
			wall[who, row] = $5
		if ($6 != "-") {
			if (!(row in result))
				result[row] = $6
			else if (result[row] != $6)
				bad[who, row] = "gives " $6 ", not " result[row]
		}
	}
}

END {
	printf "%-10s %9s %9s %9s %12s %12s %9s\n", "CPU seconds", "native", "tcg", "ours",
		"ours/native", "tcg/native", "tcg/ours"
	printf "{\n  \"version\": \"%s\", \"engine\": \"%s\", \"host\": \"%s\", \"rounds\": %d, \"scale\": %s,\n  \"load_before\": [%s], \"load_after\": [%s],\n  \"rows\": {",
		version, engine, host, rounds, scale, load_before, load_after >json
	count = split(rows, order, " ")
	for (k = 1; k <= count; k++) {
		row = order[k]
		if (!(row in seen))
			continue
		n = least("native", row)
		t = least("tcg", row)
		o = least("ours", row)
		ours_native[row] = ratio(o, n)
		tcg_native[row] = ratio(t, n)
		tcg_ours[row] = ratio(t, o)
		printf "%-10s %9s %9s %9s %12s %12s %9s\n", row, cell(n, 4), cell(t, 4),
			cell(o, 4), cell(ours_native[row], 2), cell(tcg_native[row], 2),
			cell(tcg_ours[row], 2)
		printf "%s\n    \"%s\": {\"native\": %s, \"tcg\": %s, \"ours\": %s}",
			(rows_written++ ? "," : ""), row, number(n), number(t), number(o) >json
		if (tcg_ours[row] > 0 && (!worst || tcg_ours[row] < tcg_ours[worst]))
			worst = row
	}
	printf "\n  }" >json
	print ""
	summary("compute", compute)
	summary("floating", "nbody linpack")
	summary("system", systems)
	if (worst) {
		printf "%-10s %56s %9.2f\n", "worst row", worst, tcg_ours[worst]
		printf ",\n  \"worst\": {\"row\": \"%s\", \"tcg_ours\": %s}", worst,
			number(tcg_ours[worst]) >json
	}
	if ("gzip-by-two" in seen) {
		printf "%-10s %9s %9s %9s   two processors over one, by the clock\n", "parallel",
			cell(parallel("native"), 2), cell(parallel("tcg"), 2),
			cell(parallel("ours"), 2)
		printf ",\n  \"parallel\": {\"native\": %s, \"tcg\": %s, \"ours\": %s}",
			number(parallel("native")), number(parallel("tcg")),
			number(parallel("ours")) >json
	}
	printf "\n}\n" >json
	print "load averages of the host (1, 5, 15 minutes): " load_before " before, " load_after " after"
	for (key in bad) {
		split(key, part, SUBSEP)
		print "bench: " part[1] ": row " part[2] " " bad[key]
		failed = 1
	}
	exit failed
}
