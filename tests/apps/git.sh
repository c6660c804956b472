#!/bin/bash
# git: init, commit, gc, fsck and clones of a repository on a mount.
. "$(dirname "$0")/apps.sh"
needs git

export HOME=$work GIT_CONFIG_NOSYSTEM=1 LC_ALL=C
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git config --global init.defaultBranch main
git config --global safe.directory '*'
git config --global pack.threads 1

# Objects, refs, what fsck and status say, and the files.
state() {
	local repository
	for repository in "$1"/*/; do
		echo "== $(basename "$repository")"
		git -C "$repository" cat-file --batch-all-objects --batch-check
		git -C "$repository" for-each-ref
		git -C "$repository" fsck --full --strict 2>&1
		git -C "$repository" status --short 2>&1
		git -C "$repository" count-objects -v | grep -v size
	done
	(cd "$1" && find . -path '*/.git' -prune -o -printf '%p %y %m %n %l\n' | LC_ALL=C sort)
}

both "git" 120 '
mkdir one && cd one && git init -q .
for d in a b c; do
	mkdir -p $d/deep
	for i in 1 2 3 4 5 6 7 8 9 10; do seq $((i * 300)) | sed "s/^/$d/" >$d/deep/file$i; done
done
ln -s a/deep/file1 link; seq 3 >run.sh; chmod 755 run.sh
git add . && git commit -qm first
for round in 1 2 3; do
	sed -i "s/7/$round/" b/deep/*; git mv -k c/deep/file$round c/moved$round; git rm -q a/deep/file$round
	echo $round >new$round; git add -A; git commit -qm "round $round"
done
git tag v1; git checkout -q -b side HEAD~2; echo side >side; git add side; git commit -qm side
git checkout -q main; git merge -q -m merge side
git stash list; echo dirty >>new1; git stash -q; git stash pop -q; git diff --stat; git checkout -q .
git repack -adq; git gc -q --prune=now; git fsck --full; git log --oneline --graph; git reflog | wc -l
git worktree add -q ../tree v1 && git worktree list | wc -l; git worktree remove ../tree
cd ..
git clone -q one two; git clone -q --no-local one three; git clone -q --no-hardlinks one four; git clone -q --bare one five
find two/.git/objects -type f -name "*.pack" -printf "%n\n"; find four/.git/objects -type f -name "*.pack" -printf "%n\n"
cd two; echo more >>new2; git commit -qam more; git push -q origin HEAD:pushed; git pull -q; git fsck
cd ../one; git branch -a; git reset -q --hard HEAD~1; git clean -fdq; git reset -q --hard main; git archive HEAD | sha1sum
'

# What was written there natively is extended there.
git -C "$work/target/one" commit -q --allow-empty -m native
equal "git sees a native commit" native "$(again 30 git -C one log -1 --format=%s 2>&1)"
equal "git fetches a native commit" native "$(again 30 sh -c 'git -C two fetch -q && git -C two log -1 --format=%s origin/main' 2>&1)"
finish
