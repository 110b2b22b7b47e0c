

def _adapter(answer, takes, returns, operations):
    most = 100000

    def linked(values):
        head = None
        for value in reversed(values):
            head = ListNode(value, head)
        return head

    def tree(values):
        if not values or values[0] is None:
            return None
        nodes = [v if v is None else TreeNode(v) for v in values]
        rest, root = iter(nodes[1:]), nodes[0]
        for node in nodes:
            if node is not None:
                node.left, node.right = next(rest, None), next(rest, None)
        return root

    def values_of(head):
        values = []
        while head is not None and len(values) < most:
            values.append(head.val)
            head = head.next
        return values

    def levels_of(root):
        values, row = [], [root]
        for node in row:
            values.append(None if node is None else node.val)
            if node is not None and len(row) < most:
                row += [node.left, node.right]
        while values and values[-1] is None:
            values.pop()
        return values
    make = {"linked-list": linked, "tree": tree}
    read = {"linked-list": values_of, "tree": levels_of}

    def called(*args):
        given = [make[t](a) if t in make else a for t, a in zip(takes, args)] + list(args[len(takes):])
        got = answer(*given)
        return read[returns](got) if returns in read else got

    def operated(names, arguments):
        out, target = [], None
        for name, given in zip(names, arguments):
            if target is None:
                target = answer(*given)
                out.append(None)
            else:
                out.append(getattr(target, name)(*given))
        return out
    return operated if operations else called


if "ENTRY" in globals():
    adapted_ENTRY = _adapter(ENTRY, TAKES, RETURNS, OPERATIONS)
elif hasattr(globals().get("Solution"), "ENTRY"):
    adapted_ENTRY = _adapter(getattr(Solution(), "ENTRY"), TAKES, RETURNS, OPERATIONS)
