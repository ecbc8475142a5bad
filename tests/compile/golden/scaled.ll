


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !3
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !4
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %b0, i64 %body2.i
  %v7 = load float, ptr %v6, !llvm.access.group !0
  %v8 = fmul contract  float %v7, 0x4000000000000000
  %v9 = fadd contract  float %v8, 0x3FF0000000000000
  %v10 = fcmp ogt float %v9, 0x0000000000000000
  %v11 = select i1 %v10, float %v9, float 0x0000000000000000
  %v12 = fcmp uno float %v9, %v9
  %v13 = select i1 %v12, float %v9, float %v11
  %v14 = getelementptr inbounds float, ptr %b1, i64 %body2.i
  store float %v13, ptr %v14, !llvm.access.group !0
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v15 = icmp slt i64 %body2.next, %end
  br i1 %v15, label %body2, label %leave4, !llvm.loop !2
leave4:
  ret void
}

define internal i32 @part0.7(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [2 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  call void @kernel0(ptr %t0, i64 0, i64 6)
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part0.7(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = distinct !{}
!1 = !{!"llvm.loop.parallel_accesses", !0}
!2 = distinct !{!2, !1}
!3 = !{}
!4 = !{}

