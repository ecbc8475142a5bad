"""From a Graph to machine code: named passes, vector math, LLVM.  Only this folder and ``run`` import llvmlite."""
