


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !6
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !7
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  br label %before6
before6:
  %v10 = icmp slt i64 0, 4
  br i1 %v10, label %body7, label %leave9
body7:
  %body7.i = phi i64 [ 0, %before6 ], [ %body7.next, %latch8 ]
  %v11 = mul nsw i64 %body7.i, 6
  %v12 = add nsw i64 %body2.i, %v11
  %v13 = getelementptr inbounds float, ptr %b0, i64 %v12
  %v14 = load float, ptr %v13, !llvm.access.group !2
  %v15 = mul nsw i64 %body2.i, 4
  %v16 = add nsw i64 %v15, %body7.i
  %v17 = getelementptr inbounds float, ptr %b1, i64 %v16
  store float %v14, ptr %v17, !llvm.access.group !2
  br label %latch8
latch8:
  %body7.next = add nsw i64 %body7.i, 1
  %v18 = icmp slt i64 %body7.next, 4
  br i1 %v18, label %body7, label %leave9, !llvm.loop !5
leave9:
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v19 = icmp slt i64 %body2.next, %end
  br i1 %v19, label %body2, label %leave4, !llvm.loop !1
leave4:
  ret void
}

define internal i32 @part0.3(ptr noalias %buffers, ptr %context) noinline #0 {
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
  %status = call i32 @part0.3(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = !{!"llvm.loop.unroll.disable"}
!1 = distinct !{!1, !0}
!2 = distinct !{}
!3 = !{!"llvm.loop.parallel_accesses", !2}
!4 = !{!"llvm.loop.unroll.disable"}
!5 = distinct !{!5, !3, !4}
!6 = !{}
!7 = !{}

