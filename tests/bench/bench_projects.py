def run(bench):
    return {}
