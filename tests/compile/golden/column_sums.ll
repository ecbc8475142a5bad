


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %scratch.s1 = alloca [70 x float], align 64
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !8
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !12
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 0, 70
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ 0, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %scratch.s1, i64 %body2.i
  store float 0x0000000000000000, ptr %v6, !llvm.access.group !0
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v7 = icmp slt i64 %body2.next, 70
  br i1 %v7, label %body2, label %leave4, !llvm.loop !2
leave4:
  br label %before8
before8:
  %v12 = icmp slt i64 0, 5
  br i1 %v12, label %body9, label %leave11
body9:
  %body9.i = phi i64 [ 0, %before8 ], [ %body9.next, %latch10 ]
  br label %before13
before13:
  %v17 = icmp slt i64 0, 70
  br i1 %v17, label %body14, label %leave16
body14:
  %body14.i = phi i64 [ 0, %before13 ], [ %body14.next, %latch15 ]
  %v18 = mul nsw i64 %body9.i, 70
  %v19 = add nsw i64 %v18, %body14.i
  %v20 = getelementptr inbounds float, ptr %b0, i64 %v19
  %v21 = load float, ptr %v20, !llvm.access.group !5
  %v22 = fmul contract  float %v21, %v21
  %v23 = getelementptr inbounds float, ptr %scratch.s1, i64 %body14.i
  %v24 = load float, ptr %v23, !llvm.access.group !5
  %v25 = fadd contract  float %v24, %v22
  %v26 = getelementptr inbounds float, ptr %scratch.s1, i64 %body14.i
  store float %v25, ptr %v26, !llvm.access.group !5
  br label %latch15
latch15:
  %body14.next = add nsw i64 %body14.i, 1
  %v27 = icmp slt i64 %body14.next, 70
  br i1 %v27, label %body14, label %leave16, !llvm.loop !7
leave16:
  br label %latch10
latch10:
  %body9.next = add nsw i64 %body9.i, 1
  %v28 = icmp slt i64 %body9.next, 5
  br i1 %v28, label %body9, label %leave11, !llvm.loop !4
leave11:
  br label %before29
before29:
  %v33 = icmp slt i64 0, 70
  br i1 %v33, label %body30, label %leave32
body30:
  %body30.i = phi i64 [ 0, %before29 ], [ %body30.next, %latch31 ]
  %v34 = getelementptr inbounds float, ptr %scratch.s1, i64 %body30.i
  %v35 = load float, ptr %v34, !llvm.access.group !9
  %v36 = getelementptr inbounds float, ptr %b1, i64 %body30.i
  store float %v35, ptr %v36, !llvm.access.group !9
  br label %latch31
latch31:
  %body30.next = add nsw i64 %body30.i, 1
  %v37 = icmp slt i64 %body30.next, 70
  br i1 %v37, label %body30, label %leave32, !llvm.loop !11
leave32:
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
  call void @kernel0(ptr %t0, i64 0, i64 1)
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

!0 = distinct !{}
!1 = !{!"llvm.loop.parallel_accesses", !0}
!2 = distinct !{!2, !1}
!3 = !{!"llvm.loop.unroll.disable"}
!4 = distinct !{!4, !3}
!5 = distinct !{}
!6 = !{!"llvm.loop.parallel_accesses", !5}
!7 = distinct !{!7, !6}
!8 = !{}
!9 = distinct !{}
!10 = !{!"llvm.loop.parallel_accesses", !9}
!11 = distinct !{!11, !10}
!12 = !{}

