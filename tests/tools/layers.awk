# SPDX-License-Identifier: Apache-2.0
# layers.awk LAYERS SOURCE... - print each include that src/LAYERS does not allow.

# The longest name in `rules` that path lies in, or "".
function folder_of(path,    name, best)
{
	best = ""
	for (name in rules)
		if (index(path, name "/") == 1 && length(name) > length(best))
			best = name
	return best
}

function allowed(from, to,    i, n, names)
{
	if (folder_of(to) == from)
		return 1
	n = split(rules[from], names, " ")
	for (i = 1; i <= n; i++)
		if (to == names[i] || index(to, names[i] "/") == 1)
			return 1
	return 0
}

FILENAME ~ /LAYERS$/ {
	sub(/#.*/, "")
	if (split($0, part, ":") == 2) {
		gsub(/[ \t]/, "", part[1])
		rules[part[1]] = part[2]
	}
	next
}

FNR == 1 {
	path = FILENAME
	sub(/^src\//, "", path)
	from = folder_of(path)
	if (from == "")
		print FILENAME ": its folder has no line in src/LAYERS"
}

from != "" && /^#[ \t]*include[ \t]+"[^"]*\// {
	split($0, quoted, "\"")
	if (!allowed(from, quoted[2]))
		print FILENAME ":" FNR ": " from " may not include " quoted[2]
}
